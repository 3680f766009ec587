package natsd

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/natsconf"
)

func TestWatchTellsThatTheServerStoresNothingMore(t *testing.T) {
	dir := t.TempDir()
	roles := []bus.Role{{Name: bus.RoleProvisioner, Publish: []string{">"}, Subscribe: []string{">"}}}
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

	metrics := prometheus.NewRegistry()
	s.Register(metrics)
	storing := func() (storing, free float64) {
		t.Helper()
		families, err := metrics.Gather()
		if err != nil || len(families) != 2 {
			t.Fatalf("%d metrics, %v", len(families), err)
		}
		return families[1].Metric[0].Gauge.GetValue(), families[0].Metric[0].Gauge.GetValue()
	}
	if now, free := storing(); now != 1 || !(free > 0) {
		t.Errorf("a server at work: storing %v, %v bytes are free", now, free)
	}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Watch(done, func(error) {}); err != nil {
		t.Errorf("a server at work: %v", err)
	}
	// What the server does to itself when it may not write.
	if err := s.nats.DisableJetStream(); err != nil {
		t.Fatal(err)
	}
	if err := s.Watch(t.Context(), func(error) {}); !errors.Is(err, ErrNotStoring) || !strings.Contains(err.Error(), dir) {
		t.Errorf("a server that has given up: %v", err)
	}
	if now, _ := storing(); now != 0 {
		t.Errorf("a server that has given up: storing %v", now)
	}
}
