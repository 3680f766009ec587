package natsd_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/natsconf"
	"github.com/openclaw-security/bus/services/internal/natsd"
	"github.com/openclaw-security/bus/services/testing/childproc"
)

const deadline = 20 * time.Second

// config is of a server with one role, which may do everything.
func config(t *testing.T, dir string) (natsd.Config, *natsconf.Identities) {
	t.Helper()
	ids, err := natsconf.LoadOrCreate(filepath.Join(dir, "keys"), []string{bus.RoleProvisioner})
	if err != nil {
		t.Fatal(err)
	}
	return natsd.Config{
		Dir:        filepath.Join(dir, "nats"),
		Listen:     "127.0.0.1:0",
		Roles:      []bus.Role{{Name: bus.RoleProvisioner, Publish: []string{">"}, Subscribe: []string{">"}}},
		PublicKeys: ids.PublicKeys(),
	}, ids
}

func start(t *testing.T, cfg natsd.Config) *natsd.Server {
	t.Helper()
	s, err := natsd.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, s) })
	return s
}

func stop(t *testing.T, s *natsd.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil && !errors.Is(err, os.ErrClosed) { // stopped before
		t.Error(err)
	}
}

func TestStartRefuses(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	for name, test := range map[string]struct {
		edit func(*natsd.Config)
		want string
	}{
		"everybody's interface": {func(c *natsd.Config) { c.Listen = "0.0.0.0:0" }, "not on the loopback interface"},
		"every interface":       {func(c *natsd.Config) { c.Listen = ":4222" }, "use 127.0.0.1:4222"},
		"a name":                {func(c *natsd.Config) { c.Listen = "example.org:0" }, "not on the loopback interface"},
		"no port":               {func(c *natsd.Config) { c.Listen = "127.0.0.1" }, "host:port"},
		"too high a port":       {func(c *natsd.Config) { c.Listen = "127.0.0.1:65536" }, "no port"},
		"a busy port":           {func(c *natsd.Config) { c.Listen = busy.Addr().String() }, busy.Addr().String() + " is in use"},
		"no roles":              {func(c *natsd.Config) { c.Roles = nil }, "no roles"},
		"a role without a key":  {func(c *natsd.Config) { c.PublicKeys = nil }, "role provisioner has no public key"},
		"a malformed key":       {func(c *natsd.Config) { c.PublicKeys = map[string]string{bus.RoleProvisioner: "U"} }, "key"},
		"a file for a directory": {func(c *natsd.Config) {
			if err := os.WriteFile(c.Dir, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "creating the NATS server's directory"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, _ := config(t, t.TempDir())
			test.edit(&cfg)
			s, err := natsd.Start(cfg)
			if err == nil {
				stop(t, s)
				t.Fatal("started")
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q in it", err, test.want)
			}
			// A refused start leaves nothing locked.
			if good, _ := config(t, t.TempDir()); name != "a file for a directory" {
				good.Dir = cfg.Dir
				start(t, good)
			}
		})
	}
}

func TestOnlyKnownKeysConnect(t *testing.T) {
	cfg, ids := config(t, t.TempDir())
	s := start(t, cfg)
	key, err := nats.NkeyOptionFromSeed(ids.SeedFile(bus.RoleProvisioner))
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		options []nats.Option
		ok      bool
	}{
		"nobody":     {nil, false},
		"a password": {[]nats.Option{nats.UserInfo("provisioner", "")}, false},
		"the role":   {[]nats.Option{key}, true},
	} {
		t.Run(name, func(t *testing.T) {
			nc, err := nats.Connect(s.URL(), test.options...)
			if err == nil {
				nc.Close()
			}
			if test.ok != (err == nil) || !test.ok && !errors.Is(err, nats.ErrAuthorization) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestServerSettings(t *testing.T) {
	cfg, _ := config(t, t.TempDir())
	cfg.MaxStore = 1 << 30
	s := start(t, cfg)
	v, err := s.Varz()
	if err != nil {
		t.Fatal(err)
	}
	js := v.JetStream.Config
	if !js.SyncAlways || js.MaxStore != 1<<30 || js.MaxMemory != 32<<20 || v.MaxPayload != 2<<20 || v.HTTPPort != 0 || !v.AuthRequired {
		t.Errorf("sync always %t, max store %d, max memory %d, max payload %d, monitoring port %d, authentication %t",
			js.SyncAlways, js.MaxStore, js.MaxMemory, v.MaxPayload, v.HTTPPort, v.AuthRequired)
	}
	if info, err := os.Stat(cfg.Dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("directory: %v, %v", info.Mode(), err)
	}
}

// TestOneRoleCannotTakeTheServer: more subscriptions than a connection may have,
// and more connections than a role may have, are refused. What it had stays.
func TestOneRoleCannotTakeTheServer(t *testing.T) {
	cfg, ids := config(t, t.TempDir())
	s := start(t, cfg)
	key, err := nats.NkeyOptionFromSeed(ids.SeedFile(bus.RoleProvisioner))
	if err != nil {
		t.Fatal(err)
	}
	connect := func() (*nats.Conn, error) {
		return nats.Connect(s.URL(), key, nats.NoReconnect(), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	}
	nc, err := connect()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	before, err := s.Varz()
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10_000 {
		if _, err := nc.SubscribeSync(fmt.Sprint("flood.", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.FlushTimeout(deadline); err != nil {
		t.Fatal(err)
	}
	after, err := s.Varz()
	if err != nil {
		t.Fatal(err)
	}
	// Each counts again in the account that it is imported from.
	if n := int(after.Subscriptions) - int(before.Subscriptions); n < 1 || n > 2*natsconf.MaxSubscriptions {
		t.Errorf("%d more subscriptions", n)
	}
	for i := 1; ; i++ { // one is connected
		other, err := connect()
		if err != nil {
			if i != natsconf.MaxRoleConnections {
				t.Errorf("after %d connections: %v", i, err)
			}
			return
		}
		defer other.Close()
		if i > natsconf.MaxRoleConnections {
			t.Fatalf("%d connections of one role", i+1)
		}
	}
}

func TestSecondServerIsRefused(t *testing.T) {
	cfg, _ := config(t, t.TempDir())
	first := start(t, cfg)
	_, err := natsd.Start(cfg)
	if !errors.Is(err, natsd.ErrInUse) || !strings.Contains(err.Error(), cfg.Dir) || !strings.Contains(err.Error(), "process "+strconv.Itoa(os.Getpid())) {
		t.Errorf("got %v", err)
	}
	stop(t, first)
	start(t, cfg)
}

const holder = "holder" // of a directory, in which it starts a server

func TestMain(m *testing.M) {
	childproc.Main(childproc.Roles{holder: childproc.Func(hold)})
	os.Exit(m.Run())
}

func hold(ctx context.Context) error {
	var dir string
	if err := childproc.Task(&dir); err != nil {
		return err
	}
	ids, err := natsconf.LoadOrCreate(filepath.Join(dir, "keys"), []string{bus.RoleProvisioner})
	if err != nil {
		return err
	}
	if _, err := natsd.Start(natsd.Config{
		Dir:        filepath.Join(dir, "nats"),
		Listen:     "127.0.0.1:0",
		Roles:      []bus.Role{{Name: bus.RoleProvisioner}},
		PublicKeys: ids.PublicKeys(),
	}); err != nil {
		return err
	}
	fmt.Println("ready")
	<-ctx.Done()
	return nil
}

func TestKillFreesTheDirectory(t *testing.T) {
	dir := t.TempDir()
	other := childproc.Process{Role: holder, Task: dir}
	other.Run(t)
	if _, err := other.Ready(); err != nil {
		t.Fatal(err)
	}
	cfg, _ := config(t, dir)
	if _, err := natsd.Start(cfg); !errors.Is(err, natsd.ErrInUse) || !strings.Contains(err.Error(), "process "+strconv.Itoa(other.PID())) {
		t.Errorf("while the other lives: %v", err)
	}
	if err := other.Kill(); err != nil {
		t.Fatal(err)
	}
	start(t, cfg)
}
