package e2e

import (
	"context"
	cryptorand "crypto/rand"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	tcnetwork "github.com/testcontainers/testcontainers-go/network"
	"github.com/testcontainers/testcontainers-go/wait"
)

// Names and secrets of the stack under test, all invented.
const (
	host     = "box1"
	botToken = "7204815936:AAFakeTokenOfTheTestServer_q3Zx9-v2kLm" // telegramtest.Token
	chatA    = "48151623"                                          // telegramtest.PrivateID
	chatB    = "-4815162342"                                       // telegramtest.GroupID
	sinkA    = "telegram-" + chatA
	sinkB    = "telegram-g4815162342"
	llmKey   = "sk-ant-e2e-0123456789abcdef"
)

// holders are the processes that have keys, each in a volume of its own.
var holders = []string{"shipper-suricata", "shipper-tracee", "proxy", "notifier", "auditor", "provisioner", "operator", "sources"}

// setup says how a stack differs from the plain one.
type setup struct {
	cluster []string // names of the NATS servers; none for one that stands alone
	guard   bool
}

// rig is a whole stack.
type rig struct {
	t   *testing.T
	ctx context.Context // ends when the test has run out of time
	id  string          // prefix of all names, random
	setup

	inner, edge *testcontainers.DockerNetwork
	units       map[string]*unit
	sensorDir   string // on this machine
	plan        map[string]string
}

// newRig starts a stack and waits until all of it is healthy. It must end
// within limit.
func newRig(t *testing.T, limit time.Duration, s setup) *rig {
	t.Helper()
	needDocker(t)
	started := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	r := &rig{
		t: t, ctx: ctx, id: "e2e-" + strings.ToLower(cryptorand.Text()[:8]), setup: s,
		units: map[string]*unit{},
		plan:  map[string]string{"OPENCLAW_HOST": host, "TELEGRAM_BOT_TOKEN": "1:set", "TELEGRAM_CHAT_ID": chatA},
	}
	r.makeNetworks()
	t.Cleanup(r.removeVolumes)
	r.makeSensorDir()

	r.must(r.keysInit())
	for _, name := range r.servers() {
		r.create(r.nats(name))
	}
	for _, name := range r.servers() {
		r.awaitHealthy(r.units[name])
	}
	r.must(r.provision())
	r.run(r.fakeTelegram())
	r.run(r.fakeLLM())
	services := []spec{r.shipper("suricata", "eve.json"), r.shipper("tracee", "events.json"), r.proxy(), r.notifier(), r.auditor()}
	if s.guard {
		services = append(services, r.guard())
	}
	for _, service := range services {
		r.create(service)
	}
	for _, service := range services {
		r.awaitHealthy(r.units[service.name])
	}
	t.Logf("%d containers are healthy after %.0f s", len(r.units), time.Since(started).Seconds())
	return r
}

// create starts a container and does not wait for it.
func (r *rig) create(s spec) *unit {
	r.t.Helper()
	s.ready = wait.ForNop(func(context.Context, wait.StrategyTarget) error { return nil })
	return r.run(s)
}

func (r *rig) makeNetworks() {
	r.t.Helper()
	create := func(options ...tcnetwork.NetworkCustomizer) *testcontainers.DockerNetwork {
		n, err := tcnetwork.New(r.ctx, options...)
		if err != nil {
			r.t.Fatalf("making a network: %v", err)
		}
		r.t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			if err := n.Remove(ctx); err != nil {
				r.t.Errorf("removing a network: %v", err)
			}
		})
		return n
	}
	// Of a network with a subnet of its own a container can be given another
	// address. This range is for tests (RFC 2544).
	n := rand.Int64N(512)
	subnet := netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18 + byte(n/256), byte(n), 0}), 24)
	r.inner = create(tcnetwork.WithInternal(), tcnetwork.WithIPAM(&network.IPAM{Config: []network.IPAMConfig{{Subnet: subnet}}}))
	r.edge = create()
}

// makeSensorDir makes the directory that the sensors write to and the shippers,
// which are another user, read.
func (r *rig) makeSensorDir() {
	r.t.Helper()
	r.sensorDir = r.t.TempDir()
	if err := os.Chmod(r.sensorDir, 0o755); err != nil {
		r.t.Fatal(err)
	}
	for _, name := range []string{"eve.json", "events.json"} {
		if err := os.WriteFile(filepath.Join(r.sensorDir, name), nil, 0o644); err != nil {
			r.t.Fatal(err)
		}
	}
}

// removeVolumes removes what the stack has stored.
func (r *rig) removeVolumes() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	list, err := docker.VolumeList(ctx, client.VolumeListOptions{})
	if err != nil {
		r.t.Errorf("listing the volumes: %v", err)
		return
	}
	for _, v := range list.Items {
		if !strings.HasPrefix(v.Name, r.id+"-") {
			continue
		}
		if _, err := docker.VolumeRemove(ctx, v.Name, client.VolumeRemoveOptions{}); err != nil {
			r.t.Errorf("removing a volume: %v", err)
		}
	}
}

// volume is a volume of the stack mounted at path.
func (r *rig) volume(name, path string) string { return r.id + "-" + name + ":" + path }

// servers are the names of the NATS servers.
func (r *rig) servers() []string {
	if len(r.cluster) == 0 {
		return []string{"nats"}
	}
	return r.cluster
}

// natsURL is what the services are told.
func (r *rig) natsURL() string {
	var urls []string
	for _, name := range r.servers() {
		urls = append(urls, "nats://"+name+":4222")
	}
	return strings.Join(urls, ",")
}

// ours are the containers of the product, in the order of their names.
func (r *rig) ours() []*unit {
	var all []*unit
	for _, name := range slices.Sorted(maps.Keys(r.units)) {
		if !strings.HasPrefix(name, "fake-") {
			all = append(all, r.units[name])
		}
	}
	return all
}
