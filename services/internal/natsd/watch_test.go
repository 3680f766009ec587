package natsd

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/natsconf"
)

func TestWatchTellsThatTheServerStoresNothingMore(t *testing.T) {
	dir := t.TempDir()
	roles := bus.Roles("box1", nil)
	var names []string
	for _, r := range roles {
		names = append(names, r.Name)
	}
	ids, err := natsconf.LoadOrCreate(filepath.Join(dir, "keys"), names)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Start(Config{Dir: filepath.Join(dir, "nats"), Listen: "127.0.0.1:0", Roles: roles, PublicKeys: ids.PublicKeys()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})

	done, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Watch(done); err != nil {
		t.Errorf("a server at work: %v", err)
	}
	// What the server does to itself when a write fails for lack of space.
	if err := s.nats.DisableJetStream(); err != nil {
		t.Fatal(err)
	}
	if err := s.Watch(t.Context()); !errors.Is(err, ErrNotStoring) || !strings.Contains(err.Error(), dir) {
		t.Errorf("a server that has given up: %v", err)
	}
}
