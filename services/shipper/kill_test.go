package shipper_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/daemon"
	"github.com/openclaw-security/bus/services/shipper"
	"github.com/openclaw-security/bus/services/testing/bustest"
	"github.com/openclaw-security/bus/services/testing/childproc"
	"github.com/openclaw-security/bus/services/testing/testenv"
)

const shipperRole = "shipper" // of the test binary, in a process that can be killed

func TestMain(m *testing.M) {
	childproc.Main(childproc.Roles{
		shipperRole: func() int { return daemon.Program[shipper.Config]{Name: "shipper", Run: shipper.Run}.Main(nil) },
	})
	os.Exit(m.Run())
}

// TestKilledShipperLosesAndDoublesNothing kills the shipper process with SIGKILL
// at random moments while its file is being written, and compares the stream
// with the file.
func TestKilledShipperLosesAndDoublesNothing(t *testing.T) {
	const lines = 50_000
	kills, seed := testenv.Count(t, "TEST_KILLS", 20), testenv.Seed(t)
	random := rand.New(rand.NewPCG(seed, 0))

	b := bustest.Start(t)
	path := filepath.Join(t.TempDir(), "eve.json")
	conn := b.Conn(t, bus.RoleTail)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()

	// A kill is due when the stream has grown to a random size, so that kills
	// fall into every state of a shipper at work.
	due := make([]uint64, kills)
	for i := range due {
		due[i] = random.Uint64N(lines - lines/10)
	}
	slices.Sort(due)

	written := make(chan error, 1)
	go func() { written <- writeLines(path, lines, random.Uint64()) }()

	running := childproc.Process{Role: shipperRole, Env: []string{
		"ADMIN_ADDR=",
		"LOG_LEVEL=warn",
		"NATS_URL=" + b.URL(),
		"NATS_NKEY_SEED=" + b.Seed(t, bus.ShipperRole("suricata")),
		"OPENCLAW_HOST=" + bustest.Host,
		"SHIPPER_SOURCE=suricata",
		"SHIPPER_PATH=" + path,
	}}
	running.Run(t)
	feed, err := conn.Live(ctx, proto.StoredPrefix+".>")
	if err != nil {
		t.Fatal(err)
	}
	last := make(map[string]uint64) // sequence of each stream
	var stored uint64
	for stored < lines {
		m, err := feed.Next(ctx)
		if err != nil {
			t.Fatalf("after %d stored lines: %v\n%s", stored, err, running.Log)
		}
		// By sequence, not by counting: the feed may leave some out.
		last[m.Stream] = max(last[m.Stream], m.Sequence)
		stored = last[proto.AlertsStream("suricata")] + last[proto.EventsStream("suricata")]
		for len(due) > 0 && stored >= due[0] {
			due = due[1:]
			if err := running.Restart(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	if running.Kills() != kills {
		t.Fatalf("killed %d times, want %d", running.Kills(), kills)
	}
	compareWithFile(t, ctx, conn, path, lines)
}

// writeLines appends n lines in writes of random size that do not end at line
// ends.
func writeLines(path string, n int, seed uint64) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	random := rand.New(rand.NewPCG(seed, 1))
	var pending []byte
	for i := range n {
		if random.IntN(4) == 0 {
			// Each of a rule of its own: many of one would be folded.
			pending = fmt.Appendf(pending, `{"timestamp":"2026-11-22T07:09:02.262167+0000","flow_id":%d,"event_type":"alert","src_ip":"192.0.2.1","alert":{"signature":"test","signature_id":%d,"severity":2}}`+"\n", 1<<60+i, i+1)
		} else {
			pending = fmt.Appendf(pending, `{"timestamp":"2026-11-22T07:09:02.262167+0000","flow_id":%d,"event_type":"dns","src_ip":"192.0.2.1","dns":{"type":"request","queries":[{"rrname":"host%d.example","rrtype":"A"}]}}`+"\n", 1<<60+i, i)
		}
		if len(pending) > 64<<10 || i == n-1 {
			for len(pending) > 0 {
				k := min(len(pending), 1+random.IntN(8<<10))
				if _, err := f.Write(pending[:k]); err != nil {
					return err
				}
				pending = pending[k:]
			}
		}
	}
	return nil
}

// compareWithFile checks that the streams together hold each line of the file once, byte
// for byte, and each of them in order.
func compareWithFile(t *testing.T, ctx context.Context, conn *bus.Conn, path string, lines int) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	ids := make(map[string]bool, lines)
	for _, stream := range []string{proto.AlertsStream("suricata"), proto.EventsStream("suricata")} {
		before := int64(-1)
		for m, err := range conn.History(ctx, stream, proto.SourceFilter(bustest.Host, "suricata"), bus.Start{}) {
			if err != nil {
				t.Fatal(err)
			}
			n++
			var e proto.Event
			if err := json.Unmarshal(m.Data, &e); err != nil {
				t.Fatal(err)
			}
			if e.Origin.Offset <= before {
				t.Fatalf("message %d of %s: the line at %d comes behind that at %d", m.Sequence, stream, e.Origin.Offset, before)
			}
			before = e.Origin.Offset
			line, _, _ := bytes.Cut(content[before:], []byte("\n"))
			if !bytes.Equal(e.Raw, line) {
				t.Fatalf("message %d of %s:\nstored  %s\nwritten %s", m.Sequence, stream, e.Raw, line)
			}
			if ids[e.ID] {
				t.Fatalf("message %d of %s: id %s occurs twice", m.Sequence, stream, e.ID)
			}
			ids[e.ID] = true
		}
	}
	if n != lines {
		t.Fatalf("the streams hold %d lines, the file %d", n, lines)
	}
}
