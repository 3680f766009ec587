// Package bustest gives tests a real bus: an embedded NATS server on a free
// port of the loopback interface, with the roles, streams and durables of
// production, in a temporary directory.
package bustest

import (
	"context"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/natsconf"
	"github.com/openclaw-security/bus/services/internal/natsd"
)

// The host and the sources that the test bus has roles for.
const (
	Host     = "box1"
	Suricata = "suricata"
	Tracee   = "tracee"
)

const timeout = 30 * time.Second

// Bus is a running bus.
type Bus struct {
	dir    string
	listen string // fixed after the first start
	roles  []bus.Role
	ids    *natsconf.Identities
	server *natsd.Server
}

// Option changes how Start makes the bus.
type Option func(*settings)

type settings struct {
	config    bus.ProvisionConfig
	provision bool
	grants    map[string][]string
	durables  []proto.Consumer
}

// Provision provisions the bus by config in place of the zero one; production's durables
// are there in any case.
func Provision(config bus.ProvisionConfig) Option {
	return func(s *settings) {
		config.Streams = append(config.Streams, s.config.Streams...)
		s.config = config
	}
}

// Unprovisioned leaves the bus without streams and durables.
func Unprovisioned() Option { return func(s *settings) { s.provision = false } }

// Grant allows a role to publish to more subjects than in production, for tests
// that need to make a mess.
func Grant(role string, subjects ...string) Option {
	return func(s *settings) { s.grants[role] = append(s.grants[role], subjects...) }
}

// Durables gives the roles their rights to durables of sinks, and with [Provision]'s
// Consumers in it provisions them.
func Durables(durables ...proto.Consumer) Option {
	return func(s *settings) { s.durables = append(s.durables, durables...) }
}

// Streams provisions further streams, and gives the provisioner and those who read
// streams their rights to them.
func Streams(streams ...proto.Stream) Option {
	return func(s *settings) {
		s.config.Streams = append(s.config.Streams, streams...)
		for _, stream := range streams {
			Grant(bus.RoleProvisioner, append(bus.GrantCreate(stream.Name), bus.GrantDurables(stream.Name)...)...)(s)
			for _, role := range []string{bus.RoleTail, bus.RoleOperator, bus.RoleNotifier} {
				Grant(role, append(bus.GrantInfo(stream.Name), bus.GrantRead(stream.Name)...)...)(s)
			}
			Grant(bus.RoleOperator, bus.GrantDurables(stream.Name)...)(s)
		}
	}
}

// Start starts a bus that ends with the test.
func Start(t testing.TB, opts ...Option) *Bus {
	t.Helper()
	s := settings{provision: true, grants: make(map[string][]string)}
	for _, o := range opts {
		o(&s)
	}
	dir := t.TempDir()
	b := &Bus{dir: dir, listen: "127.0.0.1:0", roles: Roles(s.durables...)}
	var names []string
	for i, r := range b.roles {
		names = append(names, r.Name)
		b.roles[i].Publish = append(r.Publish, s.grants[r.Name]...)
	}
	ids, err := natsconf.LoadOrCreate(filepath.Join(dir, "keys"), names)
	if err != nil {
		t.Fatalf("making the bus's keys: %v", err)
	}
	b.ids = ids
	b.Restart(t)
	t.Cleanup(func() { b.Stop(t) })
	if s.provision {
		ctx, cancel := context.WithTimeout(t.Context(), timeout)
		defer cancel()
		s.config.Consumers = append(Consumers(), s.config.Consumers...)
		s.config.Streams = append(SourceStreams(), s.config.Streams...)
		if _, err := b.Conn(t, bus.RoleProvisioner).Provision(ctx, s.config); err != nil {
			t.Fatalf("provisioning the bus: %v", err)
		}
	}
	return b
}

// URL is where clients connect. It stays the same over Stop and Restart.
func (b *Bus) URL() string { return "nats://" + b.listen }

// Roles are the roles of the bus.
func (b *Bus) Roles() []bus.Role { return b.roles }

// Seed returns a role's nkey seed.
func (b *Bus) Seed(t testing.TB, role string) string {
	t.Helper()
	seed, err := b.Key(t, role).Seed()
	if err != nil {
		t.Fatalf("reading the seed of role %s: %v", role, err)
	}
	return string(seed)
}

// Key returns a role's key pair.
func (b *Bus) Key(t testing.TB, role string) nkeys.KeyPair {
	t.Helper()
	key, err := natsconf.LoadSeed(b.ids.SeedFile(role))
	if err != nil {
		t.Fatalf("loading the key of role %s: %v", role, err)
	}
	return key
}

// Conn connects as a role until the test ends.
func (b *Bus) Conn(t testing.TB, role string) *bus.Conn {
	t.Helper()
	return b.connect(t, b.URL(), role)
}

func (b *Bus) connect(t testing.TB, url, role string) *bus.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	c, err := bus.Connect(ctx, bus.Options{URL: url, Role: role, Key: b.Key(t, role), Log: Log(t)})
	if err != nil {
		t.Fatalf("connecting as role %s: %v", role, err)
	}
	// Not an error of the test: it may have stopped the server before.
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// Raw connects as a role without package bus, until the test ends.
func (b *Bus) Raw(t testing.TB, role string) *nats.Conn {
	t.Helper()
	key := b.Key(t, role)
	public, err := key.PublicKey()
	if err != nil {
		t.Fatalf("reading the public key of role %s: %v", role, err)
	}
	nc, err := nats.Connect(b.URL(), nats.Nkey(public, key.Sign), nats.CustomInboxPrefix(bus.InboxPrefix(role)))
	if err != nil {
		t.Fatalf("connecting as role %s: %v", role, err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// Stop stops the server, which keeps its data and its port.
func (b *Bus) Stop(t testing.TB) {
	t.Helper()
	if b.server == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if err := b.server.Shutdown(ctx); err != nil {
		t.Fatalf("stopping the server: %v", err)
	}
	b.server = nil
}

// Restart starts the server, after stopping one that runs.
func (b *Bus) Restart(t testing.TB) {
	t.Helper()
	b.Stop(t)
	s, err := natsd.Start(natsd.Config{
		Dir:        filepath.Join(b.dir, "nats"),
		Listen:     b.listen,
		Roles:      b.roles,
		PublicKeys: b.ids.PublicKeys(),
		Log:        Log(t),
	})
	if err != nil {
		t.Fatalf("starting the server: %v", err)
	}
	b.server = s
	b.listen = strings.TrimPrefix(s.URL(), "nats://")
}

// patience is long, since a busy machine with the race detector may be ten times as slow as
// one that has nothing else to do. Only a test that fails waits for it.
const patience = 2 * time.Minute

// Eventually waits until holds returns true, and fails the test if it does not
// within two minutes.
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("still not after %s: %s", patience, what)
		}
		time.Sleep(5 * time.Millisecond) // between looks; the deadline decides
	}
}

// Log returns a logger that writes into the test's output for as long as the
// test runs: what a connection reports while it closes can come after that.
func Log(t testing.TB) *slog.Logger {
	w := &output{w: t.Output()}
	t.Cleanup(w.stop)
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

type output struct {
	mu sync.Mutex
	w  io.Writer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.w.Write(p)
}

func (o *output) stop() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.w = io.Discard
}
