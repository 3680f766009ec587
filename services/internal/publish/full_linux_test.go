package publish_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/publish"
	"github.com/openclaw-security/bus/services/testing/bustest"
	"github.com/openclaw-security/bus/services/testing/childproc"
	"github.com/openclaw-security/bus/services/testing/fulldisk"
)

func TestMain(m *testing.M) {
	childproc.Main(childproc.Roles{bustest.ServerRole: bustest.Serve})
	os.Exit(m.Run())
}

// TestFullDisk fills the disk of the server under a source that publishes. The server
// stores a part of an atomic batch then and, until it is started again, no more of that
// stream. The source takes what was stored for its own, and once there is room and the
// server has been restarted, goes on with what is missing.
func TestFullDisk(t *testing.T) {
	disk := fulldisk.Mount(t, 24, 8)
	server, err := bustest.StartServer(filepath.Join(disk.Dir, "server"), nil)
	if err != nil {
		t.Fatal(err)
	}
	server.EndWith(t)
	if err := server.Provision(t.Context(), bus.ProvisionConfig{}); err != nil {
		t.Fatal(err)
	}
	conn := server.Conn(t, bus.ShipperRole(bustest.Tracee))
	fence := func(stream string) *bus.Fence {
		return bus.NewFence(conn, stream, proto.SourceFilter(bustest.Host, bustest.Tracee))
	}
	fences := publish.Fences{Alerts: fence(proto.AlertsStream(bustest.Tracee)), Events: fence(proto.EventsStream(bustest.Tracee))}
	const perRound = 500
	end, sessions := 0, 0
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err = publish.RunPair(ctx, fences, slog.New(slog.DiscardHandler), new(counter), func(*bus.Stored) {}, func(p *publish.Pair, at publish.Stand) error {
		if sessions++; sessions > 1 {
			// The first one ended because a part of its batch was stored.
			if len(at.Beyond) == 0 {
				return errors.New("nothing is stored beyond the last whole round")
			}
			disk.MakeRoom(t)
			if err := server.Restart(); err != nil {
				return err
			}
		}
		stored := make(map[string]bool)
		for _, m := range at.Beyond {
			stored[m.Header.Get(proto.HeaderEventID)] = true
		}
		line, _ := strconv.Atoi(at.Checkpoint) // 0 before the first
		for {
			base := line
			var msgs []*nats.Msg
			for range perRound {
				m := message(bustest.Tracee, strconv.Itoa(line))
				line++
				m.Data = make([]byte, 2000)
				m.Header.Set(proto.HeaderCheckpoint, strconv.Itoa(line))
				if !stored[m.Header.Get(proto.HeaderEventID)] {
					msgs = append(msgs, m)
				}
			}
			if err := p.Publish(ctx, publish.Round{Base: strconv.Itoa(base), End: strconv.Itoa(line), Messages: msgs}); err != nil {
				return err
			}
			if end = line; sessions > 1 {
				return nil
			}
		}
	})
	if err != nil || sessions != 2 {
		t.Fatalf("after %d sessions: %v", sessions, err)
	}
	var got, want []string
	for m, err := range server.Conn(t, bus.RoleTail).History(ctx, proto.EventsStream(bustest.Tracee), proto.StoredPrefix+".>", bus.Start{}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, m.Header.Get(proto.HeaderEventID))
	}
	for i := range end {
		want = append(want, fmt.Sprint(i))
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d messages are stored, want each of %d once and in order", len(got), len(want))
	}
}
