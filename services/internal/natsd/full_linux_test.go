package natsd

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/natsconf"
	"github.com/openclaw-security/bus/services/testing/fulldisk"
)

// TestFullDisk fills the disk under one stream. Watch reports it, and once there is
// room, the stream takes messages again on the connection that it had, and holds each
// that was acknowledged.
func TestFullDisk(t *testing.T) {
	disk := fulldisk.Mount(t, 32, 24)
	ids, err := natsconf.LoadOrCreate(filepath.Join(disk.Dir, "keys"), []string{bus.RoleProvisioner})
	if err != nil {
		t.Fatal(err)
	}
	s, err := Start(Config{
		Dir: filepath.Join(disk.Dir, "nats"), Listen: "127.0.0.1:0",
		Roles:      []bus.Role{{Name: bus.RoleProvisioner, Publish: []string{">"}, Subscribe: []string{">"}}},
		PublicKeys: ids.PublicKeys(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	key, err := nats.NkeyOptionFromSeed(ids.SeedFile(bus.RoleProvisioner))
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(s.URL(), key, nats.MaxReconnects(-1))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	stream, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "ONE", Subjects: []string{"one"}})
	if err != nil {
		t.Fatal(err)
	}
	publish := func() error {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		_, err := js.Publish(ctx, "one", make([]byte, 100_000))
		return err
	}
	reports := make(chan error)
	watch, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		ended <- s.Watch(watch, func(err error) {
			select {
			case reports <- err:
			case <-watch.Done():
			}
		})
	}()
	if err := <-reports; err != nil {
		t.Fatal(err)
	}
	var acknowledged uint64
	for err = publish(); err == nil; err = publish() {
		acknowledged++
	}
	if acknowledged == 0 {
		t.Fatal(err)
	}
	// The server has given up by now. A look from before may still wait to be reported.
	if err = <-reports; err == nil {
		err = <-reports
	}
	if !errors.Is(err, ErrDiskFull) || !strings.Contains(err.Error(), "ONE") || !strings.Contains(err.Error(), s.cfg.Dir) {
		t.Fatalf("reported with a full disk: %v", err)
	}
	disk.MakeRoom(t)
	for err != nil {
		err = <-reports
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for err = publish(); err != nil && ctx.Err() == nil; err = publish() {
		t.Logf("until it has reconnected: %v", err)
	}
	info, err := stream.Info(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if n := info.State.Msgs; n < acknowledged+1 {
		t.Errorf("%d messages are stored, and %d were acknowledged", n, acknowledged+1)
	}
}
