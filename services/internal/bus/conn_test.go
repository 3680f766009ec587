package bus_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nkeys"

	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/natsconf"
	"github.com/openclaw-security/bus/services/internal/natsd"
	"github.com/openclaw-security/bus/services/testing/bustest"
)

func TestConnectWaitsForTheServer(t *testing.T) {
	b := bustest.Start(t)
	b.Stop(t)
	states := make(chan error, 100)
	connected := make(chan *bus.Conn)
	go func() {
		c, err := bus.Connect(deadlineContext(t), bus.Options{
			URL:     b.URL(),
			Role:    bus.RoleOperator,
			Key:     b.Key(t, bus.RoleOperator),
			OnState: func(err error) { states <- err },
		})
		if err != nil {
			t.Error(err)
		}
		connected <- c
	}()
	if err := <-states; err == nil || errors.Is(err, bus.ErrClosed) {
		t.Errorf("state before there is a server: %v", err)
	}
	b.Restart(t)
	c := <-connected
	if c == nil {
		t.FailNow()
	}
	for err := range states {
		if err == nil {
			break
		}
	}
	if err := c.CheckSchema(deadlineContext(t), eventStream); err != nil {
		t.Error(err)
	}
	b.Stop(t)
	if err := <-states; !errors.Is(err, bus.ErrNotConnected) {
		t.Errorf("state without a server: %v", err)
	}
	if err := c.CheckSchema(deadlineContext(t), eventStream); !errors.Is(err, bus.ErrNotConnected) {
		t.Errorf("asking without a server: %v", err)
	}
	b.Restart(t)
	if err := <-states; err != nil {
		t.Errorf("state with a server again: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := <-states; !errors.Is(err, bus.ErrClosed) {
		t.Errorf("state at the end: %v", err)
	}
}

func TestConnectGivesUp(t *testing.T) {
	b := bustest.Start(t, bustest.Unprovisioned())
	stranger, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := stranger.Seed()
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]nkeys.KeyPair{"unknown key": stranger, "no key": nil} {
		t.Run(name, func(t *testing.T) {
			_, err := bus.Connect(deadlineContext(t), bus.Options{URL: b.URL(), Role: bus.RoleTail, Key: key})
			if !errors.Is(err, bus.ErrRejected) || !strings.Contains(err.Error(), "role tail") || strings.Contains(err.Error(), string(seed)) {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("end of context", func(t *testing.T) {
		b.Stop(t)
		ctx, cancel := context.WithCancel(t.Context())
		_, err := bus.Connect(ctx, bus.Options{URL: b.URL(), Role: bus.RoleTail, OnState: func(error) { cancel() }})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

// With another role's key no answer can arrive. The first question says so, and
// so does every later one.
func TestAnotherRolesKey(t *testing.T) {
	b := bustest.Start(t)
	c, err := bus.Connect(deadlineContext(t), bus.Options{URL: b.URL(), Role: bus.RoleOperator, Key: b.Key(t, bus.RoleTail)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 2 {
		var e *bus.PermissionError
		err := c.CheckSchema(deadlineContext(t), eventStream)
		if !errors.As(err, &e) || e.Role != bus.RoleOperator {
			t.Errorf("got %v", err)
		}
	}
}

func TestKeyWithdrawn(t *testing.T) {
	dir := t.TempDir()
	roles := []bus.Role{{Name: "old", Subscribe: []string{bus.InboxPrefix("old") + ".>"}}, {Name: "new"}}
	ids, err := natsconf.LoadOrCreate(filepath.Join(dir, "keys"), []string{"old", "new"})
	if err != nil {
		t.Fatal(err)
	}
	cfg := natsd.Config{Dir: filepath.Join(dir, "nats"), Listen: "127.0.0.1:0", Roles: roles, PublicKeys: ids.PublicKeys()}
	server, err := natsd.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	key, err := natsconf.LoadSeed(ids.SeedFile("old"))
	if err != nil {
		t.Fatal(err)
	}
	states := make(chan error, 100)
	c, err := bus.Connect(deadlineContext(t), bus.Options{URL: server.URL(), Role: "old", Key: key, OnState: func(err error) { states <- err }})
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Shutdown(deadlineContext(t)); err != nil {
		t.Fatal(err)
	}
	cfg.Listen = strings.TrimPrefix(server.URL(), "nats://")
	cfg.Roles = roles[1:]
	if server, err = natsd.Start(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Shutdown(context.Background()) })
	for err := range states {
		if errors.Is(err, bus.ErrClosed) {
			if !errors.Is(err, bus.ErrRejected) {
				t.Errorf("the reason is %v", err)
			}
			break
		}
	}
	if err := c.CheckSchema(deadlineContext(t), eventStream); !errors.Is(err, bus.ErrClosed) {
		t.Errorf("got %v", err)
	}
}
