package e2e

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/wait"
)

const (
	// checkEvery is how often the health checks of the images run here; theirs
	// would make a test wait.
	checkEvery = 3 * time.Second
	// healthy is how long a container may take to become so.
	healthy = 90 * time.Second
	// graceful is what compose gives a service to stop by itself.
	graceful = 15 * time.Second
)

// spec is a container as compose would make it.
type spec struct {
	name  string // on the networks
	image string // without the project's name and the tag
	cmd   []string
	env   map[string]string
	binds []string // volume:/path or volume:/path:ro
	nets  []*testcontainers.DockerNetwork
	port  int           // of the container, to be reached at unit.addr; 0 for none
	ready wait.Strategy // nil for the image's health check
}

// unit is a running container.
type unit struct {
	*testcontainers.DockerContainer
	spec
	addr string // address on loopback of the published port, the same after a restart
}

// confine denies the container what compose denies it.
func confine(h *container.HostConfig) {
	pids := int64(256)
	h.ReadonlyRootfs = true
	h.CapDrop = []string{"ALL"}
	h.SecurityOpt = []string{"no-new-privileges:true"}
	h.PidsLimit = &pids
	h.Memory = 512 << 20
}

// run starts a container and waits until it is healthy.
func (r *rig) run(s spec) *unit {
	r.t.Helper()
	u := &unit{spec: s}
	if s.ready == nil {
		s.ready = wait.ForHealthCheck().WithPollInterval(200 * time.Millisecond).WithStartupTimeout(healthy)
	}
	bindings := network.PortMap{}
	var exposed []string
	if s.port != 0 {
		u.addr = freeAddr(r.t)
		addr := netip.MustParseAddrPort(u.addr)
		port := fmt.Sprintf("%d/tcp", s.port)
		exposed = []string{port}
		bindings[network.MustParsePort(port)] = []network.PortBinding{{HostIP: addr.Addr(), HostPort: strconv.Itoa(int(addr.Port()))}}
	}
	request := r.request(s)
	request.ExposedPorts = exposed
	request.WaitingFor = s.ready
	request.HostConfigModifier = func(h *container.HostConfig) {
		confine(h)
		h.Binds = s.binds
		h.PortBindings = bindings
	}
	c, err := testcontainers.GenericContainer(r.ctx, testcontainers.GenericContainerRequest{ContainerRequest: request, Started: true})
	if c != nil {
		u.DockerContainer = c.(*testcontainers.DockerContainer)
		r.t.Cleanup(func() { r.remove(u) })
	}
	if err != nil {
		r.t.Fatalf("starting %s: %v", s.name, err)
	}
	r.units[s.name] = u
	return u
}

// once runs a container to its end and returns its exit code and what it printed.
func (r *rig) once(s spec) (code int, output string) {
	r.t.Helper()
	request := r.request(s)
	request.WaitingFor = wait.ForExit().WithExitTimeout(2 * time.Minute).WithPollInterval(50 * time.Millisecond)
	request.HostConfigModifier = func(h *container.HostConfig) {
		confine(h)
		h.Binds = s.binds
	}
	c, err := testcontainers.GenericContainer(r.ctx, testcontainers.GenericContainerRequest{ContainerRequest: request, Started: true})
	defer testcontainers.TerminateContainer(c) //nolint:errcheck // a leftover shows when its volumes are removed
	if err != nil {
		r.t.Fatalf("running %s %v: %v", s.image, s.cmd, err)
	}
	state, err := c.State(r.ctx)
	if err != nil {
		r.t.Fatalf("asking how %s %v ended: %v", s.image, s.cmd, err)
	}
	return state.ExitCode, logs(r.ctx, c)
}

// must is once for what has to succeed.
func (r *rig) must(s spec) string {
	r.t.Helper()
	code, output := r.once(s)
	if code != 0 {
		r.t.Fatalf("%s %v: exit code %d: %s", s.image, s.cmd, code, output)
	}
	return output
}

func (r *rig) request(s spec) testcontainers.ContainerRequest {
	q := testcontainers.ContainerRequest{
		Image:          "openclaw-security/" + s.image + ":e2e",
		Name:           r.id + "-" + s.name,
		Cmd:            s.cmd,
		Env:            maps.Clone(s.env),
		NetworkAliases: map[string][]string{},
		ConfigModifier: func(c *container.Config) {
			// The engine takes the rest of the check from the image.
			c.Healthcheck = &container.HealthConfig{Interval: checkEvery}
		},
	}
	for _, n := range s.nets {
		q.Networks = append(q.Networks, n.Name)
		q.NetworkAliases[n.Name] = []string{s.name}
	}
	return q
}

// remove ends a container, and shows what it said last if the test has failed.
// What is removed already is left alone.
func (r *rig) remove(u *unit) {
	if u.DockerContainer == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if r.t.Failed() {
		r.t.Logf("the last lines of %s:\n%s", u.name, lastLines(logs(ctx, u), 25))
	}
	if err := u.Terminate(ctx, testcontainers.StopTimeout(0)); err != nil {
		r.t.Errorf("removing %s: %v", u.name, err)
	}
	u.DockerContainer = nil
}

// kill ends a container as a crash would.
func (r *rig) kill(u *unit) {
	r.t.Helper()
	r.signal(u, "KILL")
	await(r.ctx, r.t, u.name+" to be dead", func() (bool, string) {
		state, err := u.State(r.ctx)
		return err == nil && !state.Running, fmt.Sprint(err)
	})
}

func (r *rig) signal(u *unit, name string) {
	r.t.Helper()
	if _, err := docker.ContainerKill(r.ctx, u.GetContainerID(), client.ContainerKillOptions{Signal: name}); err != nil {
		r.t.Fatalf("sending %s to %s: %v", name, u.name, err)
	}
}

// stop asks a container to end and returns its exit code.
func (r *rig) stop(u *unit) int {
	r.t.Helper()
	grace := graceful
	if err := u.Stop(r.ctx, &grace); err != nil {
		r.t.Fatalf("stopping %s: %v", u.name, err)
	}
	state, err := u.State(r.ctx)
	if err != nil {
		r.t.Fatalf("asking how %s ended: %v", u.name, err)
	}
	return state.ExitCode
}

// start starts a container again and waits until it is healthy.
func (r *rig) start(u *unit) {
	r.t.Helper()
	if err := u.Start(r.ctx); err != nil {
		r.t.Fatalf("starting %s again: %v", u.name, err)
	}
}

// awaitHealthy waits until the container's own check says that it is well.
func (r *rig) awaitHealthy(u *unit) {
	r.t.Helper()
	await(r.ctx, r.t, u.name+" to be healthy", func() (bool, string) {
		state, err := u.State(r.ctx)
		if err != nil || state.Health == nil {
			return false, fmt.Sprint(err)
		}
		return state.Health.Status == container.Healthy, string(state.Health.Status)
	})
}

// disconnect cuts a container off a network.
func (r *rig) disconnect(u *unit, n *testcontainers.DockerNetwork) {
	r.t.Helper()
	if _, err := docker.NetworkDisconnect(r.ctx, n.ID, client.NetworkDisconnectOptions{Container: u.GetContainerID(), Force: true}); err != nil {
		r.t.Fatalf("disconnecting %s: %v", u.name, err)
	}
}

// reconnect undoes disconnect, but for the container's address, which is host
// of the network from now on: what is sent to the old one is lost.
func (r *rig) reconnect(u *unit, n *testcontainers.DockerNetwork, host byte) {
	r.t.Helper()
	options := client.NetworkConnectOptions{
		Container: u.GetContainerID(),
		EndpointConfig: &network.EndpointSettings{
			Aliases:    []string{u.name},
			IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: r.address(n, host)},
		},
	}
	if _, err := docker.NetworkConnect(r.ctx, n.ID, options); err != nil {
		r.t.Fatalf("connecting %s again: %v", u.name, err)
	}
}

// address is that of host on a network whose subnet is of 256.
func (r *rig) address(n *testcontainers.DockerNetwork, host byte) netip.Addr {
	r.t.Helper()
	got, err := docker.NetworkInspect(r.ctx, n.ID, client.NetworkInspectOptions{})
	if err != nil {
		r.t.Fatalf("looking at a network: %v", err)
	}
	bytes := got.Network.IPAM.Config[0].Subnet.Addr().As4()
	bytes[3] = host
	return netip.AddrFrom4(bytes)
}

// logs is what a container has printed so far.
func logs(ctx context.Context, c testcontainers.Container) string {
	stream, err := c.Logs(ctx)
	if err != nil {
		return err.Error()
	}
	defer stream.Close()
	text, err := io.ReadAll(io.LimitReader(stream, 8<<20))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// freeAddr is an address on loopback that nobody uses.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
