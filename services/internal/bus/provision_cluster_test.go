package bus_test

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/testing/bustest"
)

// TestProvisionWaitsForACluster provisions while one of three servers runs: it
// takes connections, and has nobody yet to agree with.
func TestProvisionWaitsForACluster(t *testing.T) {
	start := cluster(t, t.TempDir(), t.TempDir(), t.TempDir())
	conn := provisioner(t, start(0))
	if report, err := conn.Provision(t.Context(), bus.ProvisionConfig{Replicas: 3}); err == nil {
		t.Fatalf("one server of three was provisioned: %v", report)
	}
	start(1)
	start(2)
	report, err := conn.Provision(t.Context(), bus.ProvisionConfig{Replicas: 3, Wait: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if got := actions(report); len(got) != 1 || got[0] != "created" {
		t.Errorf("the report says %v", got)
	}
}

// TestProvisionAfterACluster starts a server of a cluster alone, on the store that it
// had there: its streams have three replicas, which it does not load. Once they are
// provisioned, everything is there, and stays through restarts.
func TestProvisionAfterACluster(t *testing.T) {
	stores := []string{t.TempDir(), t.TempDir(), t.TempDir()}
	start := cluster(t, stores...)
	servers := []*server.Server{start(0), start(1), start(2)}
	durable := proto.Consumer{Stream: proto.StreamAudit, Durable: "reader", AckWait: time.Minute, MaxAckPending: 10, Filters: []string{"security.>"}}
	config := bus.ProvisionConfig{Replicas: 3, Wait: time.Minute, Consumers: []proto.Consumer{durable}}
	if _, err := provisioner(t, servers[0]).Provision(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	const stored, read = 20, 7
	reader := func(s *server.Server) (jetstream.JetStream, jetstream.Consumer) {
		t.Helper()
		js := streams(t, s)
		c, err := js.Consumer(deadlineContext(t), durable.Stream, durable.Durable)
		if err != nil {
			t.Fatal(err)
		}
		return js, c
	}
	js, consumer := reader(servers[0])
	for i := range stored {
		if _, err := js.Publish(deadlineContext(t), fmt.Sprintf("ingest.audit.h.s.k%d.info", i), nil); err != nil {
			t.Fatal(err)
		}
	}
	for range read {
		m, err := consumer.Next()
		if err == nil {
			err = m.DoubleAck(deadlineContext(t))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range servers {
		s.Shutdown()
		s.WaitForShutdown()
	}

	config.Replicas = 1
	for again := range 3 {
		s := run(t, &server.Options{ServerName: "n0", StoreDir: stores[0]})
		if again != 1 { // a restart alone loses nothing either
			if _, err := provisioner(t, s).Provision(t.Context(), config); err != nil {
				t.Fatal(err)
			}
		}
		js, consumer := reader(s)
		stream, err := js.Stream(deadlineContext(t), durable.Stream)
		if err != nil {
			t.Fatal(err)
		}
		if info := stream.CachedInfo(); info.State.Msgs != stored || info.Config.Replicas != 1 || strings.Contains(info.Config.Description, "created") {
			t.Errorf("start %d: %d messages, %+v", again, info.State.Msgs, info.Config)
		}
		if info := consumer.CachedInfo(); info.AckFloor.Consumer != read || info.NumPending != stored-read {
			t.Errorf("start %d: the durable is at %+v with %d to come", again, info.AckFloor, info.NumPending)
		}
		s.Shutdown()
		s.WaitForShutdown()
	}
}

// TestRetiredStreamsAfterACluster starts a server of a cluster of the version before
// alone, on the store that it had there. Its streams of all sources are there again,
// and once they have aged out they are removed.
func TestRetiredStreamsAfterACluster(t *testing.T) {
	stores := []string{t.TempDir(), t.TempDir(), t.TempDir()}
	start := cluster(t, stores...)
	servers := []*server.Server{start(0), start(1), start(2)}
	conn := provisioner(t, servers[0])
	if _, err := conn.Provision(t.Context(), bus.ProvisionConfig{Replicas: 3, Wait: time.Minute}); err != nil {
		t.Fatal(err)
	}
	js := streams(t, servers[0])
	version := map[string]string{proto.MetadataSchema: "2"}
	for _, config := range []jetstream.StreamConfig{
		{
			Name: proto.StreamSecurity, Subjects: []string{"ingest.alert.*.s.>", "ingest.event.*.s.>"}, MaxBytes: 1 << 30, Replicas: 3, Metadata: version, AllowDirect: true,
			SubjectTransform: &jetstream.SubjectTransformConfig{Source: "ingest.>", Destination: "security.>"},
		},
		{
			Name: proto.StreamAlerts, MaxBytes: 1 << 30, Replicas: 3, Metadata: version, AllowDirect: true,
			Sources: []*jetstream.StreamSource{{Name: proto.StreamSecurity, FilterSubject: "security.alert.>"}},
		},
	} {
		if _, err := js.CreateStream(deadlineContext(t), config); err != nil {
			t.Fatal(err)
		}
	}
	durable := proto.Consumer{Stream: proto.StreamAlerts, Durable: "reader", AckWait: time.Minute, MaxAckPending: 10, Filters: []string{"security.>"}}
	if _, err := js.CreateConsumer(deadlineContext(t), durable.Stream, jetstream.ConsumerConfig{
		Durable: durable.Durable, AckPolicy: jetstream.AckExplicitPolicy, FilterSubjects: durable.Filters, Metadata: version,
	}); err != nil {
		t.Fatal(err)
	}
	const alerts, events, size = 20, 30, 100 << 10 // more than a stream that keeps nothing is made for
	payload := make([]byte, size)
	for i := range alerts + events {
		class := "alert"
		if i >= alerts {
			class = "event"
		}
		if _, err := js.Publish(deadlineContext(t), fmt.Sprintf("ingest.%s.h.s.k%d.info", class, i), payload); err != nil {
			t.Fatal(err)
		}
	}
	stands := func(js jetstream.JetStream, name string) *jetstream.StreamInfo {
		t.Helper()
		s, err := js.Stream(deadlineContext(t), name)
		if err != nil {
			t.Fatal(err)
		}
		return s.CachedInfo()
	}
	bustest.Eventually(t, "the alerts are copied", func() bool { return stands(js, proto.StreamAlerts).State.Msgs == alerts })
	for _, s := range servers {
		s.Shutdown()
		s.WaitForShutdown()
	}

	config := bus.ProvisionConfig{Recover: true, Consumers: []proto.Consumer{durable}}
	for again := range 3 {
		s := run(t, &server.Options{ServerName: "n0", StoreDir: stores[0]})
		if again != 1 { // a restart alone loses nothing either
			report, err := provisioner(t, s).Provision(t.Context(), config)
			if err != nil {
				t.Fatal(err)
			}
			if got := actions(report); slices.Contains(got, "recovered") != (again == 0) || slices.Contains(got, "removed") {
				t.Errorf("start %d:\n%s", again, report)
			}
		}
		js = streams(t, s)
		if got := stands(js, proto.StreamSecurity); got.State.Msgs != alerts+events || got.Config.Replicas != 1 {
			t.Errorf("start %d: %+v of %+v", again, got.State, got.Config)
		}
		if got := stands(js, proto.StreamAlerts); got.State.Msgs != alerts || got.Config.Replicas != 1 {
			t.Errorf("start %d: %+v of %+v", again, got.State, got.Config)
		}
		consumer, err := js.Consumer(deadlineContext(t), durable.Stream, durable.Durable)
		if err != nil {
			t.Fatal(err)
		}
		if info := consumer.CachedInfo(); info.NumPending != alerts {
			t.Errorf("start %d: the durable has %d to come", again, info.NumPending)
		}
		if again < 2 {
			s.Shutdown()
			s.WaitForShutdown()
			continue
		}
		for _, name := range []string{proto.StreamSecurity, proto.StreamAlerts} {
			stream, err := js.Stream(deadlineContext(t), name)
			if err == nil {
				err = stream.Purge(deadlineContext(t))
			}
			if err != nil {
				t.Fatal(err)
			}
			report, err := provisioner(t, s).Provision(t.Context(), config)
			if err != nil {
				t.Fatal(err)
			}
			if got := actions(report); slices.Contains(got, "removed") != (name == proto.StreamAlerts) {
				t.Errorf("%s is empty:\n%s", name, report)
			}
		}
		if _, err := js.Stream(deadlineContext(t), proto.StreamSecurity); !errors.Is(err, jetstream.ErrStreamNotFound) {
			t.Errorf("a stream that has aged out is there: %v", err)
		}
	}
}

func provisioner(t *testing.T, s *server.Server) *bus.Conn {
	t.Helper()
	conn, err := bus.Connect(deadlineContext(t), bus.Options{URL: s.ClientURL(), Role: bus.RoleProvisioner})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// cluster returns what starts the servers of a cluster, each with its store.
func cluster(t *testing.T, stores ...string) (start func(i int) *server.Server) {
	ports := freePorts(t, len(stores))
	var routes []*url.URL
	for _, port := range ports {
		routes = append(routes, &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", port)})
	}
	return func(i int) *server.Server {
		return run(t, &server.Options{
			ServerName: fmt.Sprintf("n%d", i), StoreDir: stores[i],
			Cluster: server.ClusterOpts{Name: "c", Host: "127.0.0.1", Port: ports[i]}, Routes: routes,
		})
	}
}

func run(t *testing.T, opts *server.Options) *server.Server {
	t.Helper()
	opts.Host, opts.Port = "127.0.0.1", server.RANDOM_PORT
	opts.JetStream, opts.NoSigs, opts.NoLog = true, true, true
	s, err := server.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(30 * time.Second) {
		t.Fatal("a server does not start")
	}
	return s
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

// streams are a server's, by a client without a role.
func streams(t *testing.T, s *server.Server) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}
