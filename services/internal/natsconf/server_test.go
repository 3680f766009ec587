package natsconf_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/natsconf"
	"github.com/openclaw-security/bus/services/testing/bustest"
)

func sample(t *testing.T) natsconf.Server {
	t.Helper()
	roles := bustest.Roles()
	var names []string
	for _, r := range roles {
		names = append(names, r.Name)
	}
	ids, err := natsconf.LoadOrCreate(filepath.Join(t.TempDir(), "keys"), names)
	if err != nil {
		t.Fatal(err)
	}
	return natsconf.Server{Roles: roles, PublicKeys: ids.PublicKeys(), StoreDir: "/data/jetstream", MaxStore: 8 << 30}
}

// load reads a configuration as nats-server does.
func load(t *testing.T, s natsconf.Server) *server.Options {
	t.Helper()
	text, err := s.Config()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "nats.conf")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	opts, err := server.ProcessConfigFile(file)
	if err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
	return opts
}

func TestServerAlone(t *testing.T) {
	s := sample(t)
	opts := load(t, s)
	if !opts.JetStream || !opts.SyncAlways || opts.StoreDir != "/data/jetstream" || opts.JetStreamMaxStore != 8<<30 {
		t.Errorf("JetStream %t in %s, at most %d, sync always %t", opts.JetStream, opts.StoreDir, opts.JetStreamMaxStore, opts.SyncAlways)
	}
	if opts.HTTPHost != "127.0.0.1" {
		t.Errorf("monitoring is reachable on %q", opts.HTTPHost)
	}
	if opts.NoAuthUser != "" || len(opts.Nkeys) != len(s.Roles) {
		t.Errorf("%d users for %d roles, without a key %q", len(opts.Nkeys), len(s.Roles), opts.NoAuthUser)
	}
	for _, user := range opts.Nkeys {
		if user.Permissions == nil {
			t.Errorf("user %s may do everything", user.Nkey)
		}
	}
	if opts.Cluster.Name != "" || opts.MaxPayload != natsconf.MaxPayload {
		t.Errorf("cluster %q, payload %d", opts.Cluster.Name, opts.MaxPayload)
	}
}

// TestServerIsBounded: no role can take the memory of the server, nor all its
// connections.
func TestServerIsBounded(t *testing.T) {
	s := sample(t)
	opts := load(t, s)
	if opts.MaxConn != natsconf.MaxConnections || opts.MaxSubs != natsconf.MaxSubscriptions || opts.MaxControlLine != natsconf.MaxControlLine {
		t.Errorf("%d connections, %d subscriptions, control line of %d", opts.MaxConn, opts.MaxSubs, opts.MaxControlLine)
	}
	if l := opts.JetStreamLimits; l.MaxBatchInflightPerStream != natsconf.MaxStreamBatches || l.MaxBatchInflightTotal != natsconf.MaxBatches {
		t.Errorf("batches: %+v", l)
	}
	text, err := natsconf.Accounts(s.Roles, s.PublicKeys)
	if err != nil {
		t.Fatal(err)
	}
	if accounts, bounds := len(opts.Accounts), strings.Count(text, fmt.Sprintf("limits { max_connections: %d }", natsconf.MaxRoleConnections)); bounds != accounts {
		t.Errorf("%d of %d accounts are bounded", bounds, accounts)
	}
}

func TestServerOfACluster(t *testing.T) {
	t.Setenv("NATS_SERVER_NAME", "b")
	s := sample(t)
	s.Cluster, s.Password = []string{"a", "b", "c"}, "PW23"
	opts := load(t, s)
	if opts.ServerName != "b" || opts.Cluster.Name == "" || len(opts.Routes) != 3 {
		t.Errorf("server %q of cluster %q with %d routes", opts.ServerName, opts.Cluster.Name, len(opts.Routes))
	}
	if opts.Cluster.Username == "" || opts.Cluster.Password != s.Password {
		t.Error("whoever reaches the cluster's port may join")
	}
	s.Password = ""
	if text, err := s.Config(); err == nil || strings.Contains(text, "cluster") {
		t.Errorf("without a password: %v", err)
	}
}

func TestServerNeedsAKeyForEachRole(t *testing.T) {
	s := sample(t)
	delete(s.PublicKeys, bus.RoleProxy)
	if _, err := s.Config(); err == nil || !strings.Contains(err.Error(), bus.RoleProxy) {
		t.Errorf("got %v", err)
	}
}
