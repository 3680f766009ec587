package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/openclaw-security/bus/services/testing/fulldisk"
)

// TestFullDisk fills the disk under a stream of a server. The probe fails then, also
// when there is room again, and ends the server in that case only.
func TestFullDisk(t *testing.T) {
	disk := fulldisk.Mount(t, 32, 24)
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, HTTPHost: "127.0.0.1", HTTPPort: server.RANDOM_PORT,
		JetStream: true, StoreDir: disk.Dir, JetStreamMaxStore: 1 << 30, SyncAlways: true, NoSigs: true, NoLog: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(30 * time.Second) {
		t.Fatal("the server does not start")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ended := false
	ask := func() error {
		return probe(ctx, "http://"+s.MonitorAddr().String(), disk.Dir, func() error {
			ended = true
			return nil
		})
	}
	nc, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "ONE", Subjects: []string{"one"}}); err != nil {
		t.Fatal(err)
	}
	if err := ask(); err != nil {
		t.Fatalf("a server at work: %v", err)
	}
	for err == nil {
		ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
		_, err = js.Publish(ctx, "one", make([]byte, 100_000))
		cancel()
	}
	if err := ask(); !errors.Is(err, errFull) || !strings.Contains(err.Error(), "ONE") || !strings.Contains(err.Error(), "the disk is full") || ended {
		t.Errorf("with a full disk: ended is %t, %v", ended, err)
	}
	disk.MakeRoom(t)
	if err := ask(); !errors.Is(err, errFull) || !ended {
		t.Errorf("with room again: ended is %t, %v", ended, err)
	}
}
