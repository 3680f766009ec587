package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// initKeys runs secbus keys init as a deployment would, and returns what it
// printed.
func initKeys(t *testing.T, s *session, args ...string) string {
	t.Helper()
	code, stdout, stderr := s.run(t.Context(), append([]string{
		"keys", "init", "--dir", filepath.Join(s.dir, "seeds"), "--config", filepath.Join(s.dir, "nats.conf"), "--store", filepath.Join(s.dir, "store"),
	}, args...)...)
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	return stdout
}

// serveKeys starts a NATS server by the configuration that keys init wrote, on a
// free port.
func serveKeys(t *testing.T, s *session) *server.Server {
	t.Helper()
	return serve(t, filepath.Join(s.dir, "nats.conf"))
}

func serve(t *testing.T, file string) *server.Server {
	t.Helper()
	opts, err := server.ProcessConfigFile(file)
	if err != nil {
		t.Fatal(err)
	}
	opts.Host, opts.Port, opts.HTTPPort, opts.NoSigs = "127.0.0.1", server.RANDOM_PORT, 0, true
	n, err := server.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	n.Start()
	t.Cleanup(func() { n.Shutdown(); n.WaitForShutdown() })
	if !n.ReadyForConnections(30 * time.Second) {
		t.Fatal("the server does not start")
	}
	return n
}

// A server that was configured by keys init lets each role do its work, and the
// operator's command finds the key of the role that it takes.
func TestKeysInitMakesAServerOfTheBus(t *testing.T) {
	s := newSession(t, "OPENCLAW_HOST=box1", "TELEGRAM_BOT_TOKEN=1:set", "TELEGRAM_CHAT_ID=5", "SECBUS_SOURCES=falco")
	if out := initKeys(t, s); !strings.Contains(out, "10 of them new") || !strings.Contains(out, "written") {
		t.Errorf("first: %s", out)
	}
	if out := initKeys(t, s); !strings.Contains(out, "0 of them new") || !strings.Contains(out, "unchanged") {
		t.Errorf("again: %s", out)
	}
	url := serveKeys(t, s).ClientURL()
	seeds := filepath.Join(s.dir, "seeds")
	code, stdout, stderr := s.run(t.Context(), "provision", "--server", url, "--keys", filepath.Join(seeds, "provisioner"))
	if code != exitOK || !strings.Contains(stdout, "notifier-telegram-5") {
		t.Fatalf("provision: exit code %d, %s%s", code, stdout, stderr)
	}
	code, stdout, stderr = s.run(t.Context(), "status", "--server", url, "--keys", filepath.Join(seeds, "operator"))
	if code != exitMissing || !strings.Contains(stdout, "ALERTS_falco") || !strings.Contains(stdout, "EVENTS_falco") {
		t.Errorf("status: exit code %d, %s%s", code, stdout, stderr)
	}
	for _, holder := range []string{"shipper-suricata/shipper-suricata", "operator/tail", "operator/replay", "sources/shipper-falco", "proxy/proxy"} {
		if _, err := os.Stat(filepath.Join(seeds, holder+".nk")); err != nil {
			t.Error(err)
		}
	}
	code, stdout, _ = s.run(t.Context(), "keys", "show", "tail", "--dir", filepath.Join(seeds, "operator"))
	if code != exitOK || !strings.HasPrefix(stdout, "SU") {
		t.Errorf("keys show: exit code %d, %q", code, stdout)
	}
}

func TestKeysInitRotates(t *testing.T) {
	s := newSession(t, "OPENCLAW_HOST=box1")
	initKeys(t, s)
	seed := filepath.Join(s.dir, "seeds", "operator", "operator.nk")
	before, err := os.ReadFile(seed)
	if err != nil {
		t.Fatal(err)
	}
	old := filepath.Join(t.TempDir(), "operator.nk")
	if err := os.WriteFile(old, before, 0o600); err != nil {
		t.Fatal(err)
	}
	if out := initKeys(t, s, "--rotate", "operator"); !strings.Contains(out, "1 of them new") || !strings.Contains(out, "written") {
		t.Errorf("rotating: %s", out)
	}
	url := serveKeys(t, s).ClientURL()
	if code, _, stderr := s.run(t.Context(), "status", "--server", url, "--key", old); code != exitFailed || !strings.Contains(stderr, "reject") {
		t.Errorf("with the old key: exit code %d, %s", code, stderr)
	}
	code, _, stderr := s.run(t.Context(), "keys", "init", "--dir", s.dir+"/seeds", "--config", s.dir+"/nats.conf", "--rotate", "nobody")
	if code != exitFailed || !strings.Contains(stderr, `no role "nobody"`) || !strings.Contains(stderr, "shipper-tracee") {
		t.Errorf("a role that there is not: exit code %d, %s", code, stderr)
	}
}

func TestKeysInitOfACluster(t *testing.T) {
	s := newSession(t)
	first := initKeys(t, s, "--cluster", "a,b,c")
	if out := initKeys(t, s, "--cluster", "a,b,c"); !strings.Contains(first, "written") || !strings.Contains(out, "unchanged") {
		t.Errorf("first %s, then %s", first, out)
	}
	for _, servers := range []string{"a", "a,b", "a,b,c,d"} {
		code, _, stderr := s.run(t.Context(), "keys", "init", "--dir", s.dir+"/seeds", "--config", s.dir+"/nats.conf", "--cluster", servers)
		if code != exitFailed || !strings.Contains(stderr, "3 or 5") {
			t.Errorf("%s: exit code %d, %s", servers, code, stderr)
		}
	}
}
