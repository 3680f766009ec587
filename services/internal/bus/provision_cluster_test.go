package bus_test

import (
	"fmt"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/openclaw-security/bus/services/internal/bus"
)

// TestProvisionWaitsForACluster provisions while one of three servers runs: it
// takes connections, and has nobody yet to agree with.
func TestProvisionWaitsForACluster(t *testing.T) {
	ports := freePorts(t, 3)
	var routes []*url.URL
	for _, port := range ports {
		routes = append(routes, &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", port)})
	}
	start := func(i int) *server.Server {
		opts := &server.Options{
			ServerName: fmt.Sprintf("n%d", i),
			Host:       "127.0.0.1", Port: server.RANDOM_PORT,
			JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true,
			Cluster: server.ClusterOpts{Name: "c", Host: "127.0.0.1", Port: ports[i]},
			Routes:  routes,
		}
		s, err := server.NewServer(opts)
		if err != nil {
			t.Fatal(err)
		}
		s.Start()
		t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
		return s
	}
	first := start(0)
	conn, err := bus.Connect(deadlineContext(t), bus.Options{URL: first.ClientURL(), Role: bus.RoleProvisioner})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if report, err := conn.Provision(t.Context(), bus.Plan{Replicas: 3}); err == nil {
		t.Fatalf("one server of three was provisioned: %v", report)
	}
	start(1)
	start(2)
	report, err := conn.Provision(t.Context(), bus.Plan{Replicas: 3, Wait: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if got := actions(report); len(got) != 1 || got[0] != "created" {
		t.Errorf("the report says %v", got)
	}
}

// freePorts are ports on loopback that nobody uses.
func freePorts(t *testing.T, n int) []int {
	t.Helper()
	ports := make([]int, n)
	for i := range ports {
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports
}
