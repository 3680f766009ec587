package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/natsconf"
)

// A server of the bus that connects to another as a leaf node gives that one its
// alerts by the configuration that docs/operations.md shows, and nothing can come
// back: the hub can neither publish to the bus nor change it.
func TestLeafNode(t *testing.T) {
	hub := startHub(t)
	s := newSession(t, "OPENCLAW_HOST=box1")
	remote := fmt.Sprintf(`leafnodes { remotes: [ {
  url: "nats-leaf://leaf:secret@%s"
  account: BUS
  deny_imports: ["ingest.>", "security.>", "replay.>", "deliveries.>", "dead.>", "$KV.>", "$JS.API.>", "$JS.box1.API.STREAM.DELETE.>", "$JS.box1.API.STREAM.PURGE.>", "$JS.box1.API.STREAM.UPDATE.>", "$JS.box1.API.STREAM.MSG.DELETE.>"]
  deny_exports: ["ingest.>"]
} ] }
`, hub.leaf)
	if err := os.WriteFile(filepath.Join(s.dir, "leaf.conf"), []byte(remote), 0o600); err != nil {
		t.Fatal(err)
	}
	initKeys(t, s, "--domain", "box1", "--include", "leaf.conf")
	box := serveKeys(t, s)
	seeds := filepath.Join(s.dir, "seeds")
	if code, _, stderr := s.run(t.Context(), "provision", "--server", box.ClientURL(), "--keys", filepath.Join(seeds, "provisioner")); code != exitOK {
		t.Fatal(stderr)
	}

	js, err := jetstream.New(hub.conn)
	if err != nil {
		t.Fatal(err)
	}
	await(t, "the leaf node to connect", func() bool { return hub.server.NumLeafNodes() == 1 })
	_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "BOX1_ALERTS",
		Sources: []*jetstream.StreamSource{{
			Name:     proto.StreamAlerts,
			External: &jetstream.ExternalStream{APIPrefix: "$JS.box1.API"},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}

	subject := proto.NewSubject("box1", "suricata", "alert", proto.SeverityHigh)
	publishAs(t, box.ClientURL(), filepath.Join(seeds, "shipper-suricata", "shipper-suricata.nk"), "shipper-suricata", subject.Ingest())
	await(t, "the alert to reach the hub", func() bool {
		m, err := js.Stream(t.Context(), "BOX1_ALERTS")
		return err == nil && m.CachedInfo().State.Msgs == 1
	})

	// The other way round nothing passes.
	if err := hub.conn.Publish(subject.Ingest(), []byte("forged")); err != nil {
		t.Fatal(err)
	}
	purge, err := hub.conn.Request("$JS.box1.API.STREAM.PURGE."+proto.StreamAlerts, nil, time.Second)
	if err == nil {
		t.Errorf("the hub purges the bus's stream: %s", purge.Data)
	}
	code, stdout, stderr := s.run(t.Context(), "replay", "--server", box.ClientURL(), "--keys", filepath.Join(seeds, "operator"), "--since", "1h", "--json")
	if code != exitOK || len(stdout) == 0 {
		t.Errorf("replay: exit code %d, %s%s", code, stdout, stderr)
	}
	events := streamMessages(t, s, box.ClientURL(), seeds)
	if events != 1 {
		t.Errorf("the bus holds %d events, of which one was published here", events)
	}
}

// hub is a server that leaf nodes connect to.
type hub struct {
	server *server.Server
	conn   *nats.Conn
	leaf   string // host:port for leaf nodes
}

func startHub(t *testing.T) hub {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	leaf := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "hub.conf")
	text := fmt.Sprintf(`jetstream { store_dir: %q, domain: hub }
accounts { OWNER { jetstream: enabled, users: [ { user: owner, password: owner } ] } }
leafnodes { listen: %q, authorization { users: [ { user: leaf, password: secret, account: OWNER } ] } }
`, filepath.Join(dir, "store"), leaf)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	n := serve(t, file)
	conn, err := nats.Connect(n.ClientURL(), nats.UserInfo("owner", "owner"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return hub{n, conn, leaf}
}

// publishAs publishes an event with the key in seed.
func publishAs(t *testing.T, url, seed, role, subject string) {
	t.Helper()
	key, err := natsconf.LoadSeed(seed)
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := nats.Connect(url, nats.Nkey(public, key.Sign), nats.CustomInboxPrefix(bus.InboxPrefix(role)))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ack, err := conn.Request(subject, []byte(`{"title":"an alert"}`), 5*time.Second)
	if err != nil {
		t.Fatalf("publishing: %v", err)
	}
	t.Logf("stored: %s", ack.Data)
}

// streamMessages is how many events the bus holds.
func streamMessages(t *testing.T, s *session, url, seeds string) int {
	t.Helper()
	key, err := natsconf.LoadSeed(filepath.Join(seeds, "operator", "operator.nk"))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := bus.Connect(t.Context(), bus.Options{URL: url, Role: bus.RoleOperator, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	o, err := conn.Overview(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, st := range o.Streams {
		if st.Name == proto.StreamSecurity {
			return int(st.Messages)
		}
	}
	return -1
}

// await waits until ok, which changes by what other processes do.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("waiting for %s", what)
		}
		<-time.After(20 * time.Millisecond)
	}
}
