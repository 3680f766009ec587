package cli

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
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
  deny_imports: ["ingest.>", "security.>", "replay.>", "deliveries.>", "dead.>", "state.>", "$KV.>", "$JS.API.>", "$JS.ACK.>",
    "$JS.box1.API.INFO", "$JS.box1.API.ACCOUNT.>", "$JS.box1.API.META.>", "$JS.box1.API.SERVER.>", "$JS.box1.API.STREAM.>", "$JS.box1.API.DIRECT.>",
    "$JS.box1.API.CONSUMER.DELETE.>", "$JS.box1.API.CONSUMER.DURABLE.>", "$JS.box1.API.CONSUMER.INFO.>", "$JS.box1.API.CONSUMER.LEADER.>", "$JS.box1.API.CONSUMER.LIST.>",
    "$JS.box1.API.CONSUMER.MSG.>", "$JS.box1.API.CONSUMER.NAMES.>", "$JS.box1.API.CONSUMER.PAUSE.>", "$JS.box1.API.CONSUMER.RESET.>", "$JS.box1.API.CONSUMER.UNPIN.>"]
  deny_exports: ["ingest.>", "state.>"]
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
	config := jetstream.StreamConfig{Name: "BOX1_ALERTS"}
	for _, stream := range overview(t, box.ClientURL(), seeds).Alerts() {
		config.Sources = append(config.Sources, &jetstream.StreamSource{
			Name:     stream,
			External: &jetstream.ExternalStream{APIPrefix: "$JS.box1.API"},
		})
	}
	if _, err := js.CreateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}

	subject := proto.NewSubject("box1", "suricata", "alert", proto.SeverityHigh)
	for _, role := range []string{"shipper-suricata", "shipper-tracee"} {
		alert := proto.NewSubject("box1", strings.TrimPrefix(role, "shipper-"), "alert", proto.SeverityHigh)
		publishAs(t, box.ClientURL(), filepath.Join(seeds, role, role+".nk"), role, alert.Ingest())
	}
	await(t, "the alerts of both sources to reach the hub", func() bool {
		m, err := js.Stream(t.Context(), "BOX1_ALERTS")
		return err == nil && m.CachedInfo().State.Msgs == 2
	})

	// The other way round nothing passes.
	if err := hub.conn.Publish(subject.Ingest(), []byte("forged")); err != nil {
		t.Fatal(err)
	}
	durable := proto.AlertsStream("suricata") + "." + proto.DurableNotifierStdout
	for _, call := range []string{
		"STREAM.PURGE." + proto.AlertsStream("suricata"), "STREAM.DELETE." + proto.AlertsStream("suricata"),
		"STREAM.CREATE.more", "STREAM.SNAPSHOT." + proto.StreamAudit, "STREAM.MSG.GET." + proto.StreamAudit, "STREAM.INFO." + proto.StreamAudit, "DIRECT.GET." + proto.StreamAudit,
		"CONSUMER.DELETE." + durable, "CONSUMER.PAUSE." + durable, "CONSUMER.MSG.NEXT." + durable,
		"CONSUMER.INFO." + durable, "CONSUMER.NAMES." + proto.AlertsStream("suricata"), "META.LEADER.STEPDOWN", "ACCOUNT.PURGE.BUS", "INFO",
	} {
		if reply, err := hub.conn.Request("$JS.box1.API."+call, []byte(`{}`), 10*time.Second); !errors.Is(err, nats.ErrNoResponders) {
			t.Errorf("the hub's %s comes to the bus: %+v, %v", call, reply, err)
		}
	}
	code, stdout, stderr := s.run(t.Context(), "replay", "--server", box.ClientURL(), "--keys", filepath.Join(seeds, "operator"), "--since", "1h", "--json")
	if code != exitOK || len(stdout) == 0 {
		t.Errorf("replay: exit code %d, %s%s", code, stdout, stderr)
	}
	events := 0
	for _, st := range overview(t, box.ClientURL(), seeds).Streams {
		if strings.HasPrefix(st.Name, proto.AlertsPrefix) || strings.HasPrefix(st.Name, proto.EventsPrefix) {
			events += int(st.Messages)
		}
	}
	if events != 2 {
		t.Errorf("the bus holds %d alerts and events, of which two were published here", events)
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
	key, err := nats.NkeyOptionFromSeed(seed)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := nats.Connect(url, key, nats.CustomInboxPrefix(bus.InboxPrefix(role)))
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

// overview is the state of the bus.
func overview(t *testing.T, url, seeds string) bus.Overview {
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
	return o
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
