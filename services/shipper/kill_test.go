package shipper_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/bustest"
	"github.com/openclaw-security/bus/services/internal/daemon"
	"github.com/openclaw-security/bus/services/shipper"
)

// asShipper in the environment makes the test binary a shipper process.
const asShipper = "TEST_RUN_AS_SHIPPER"

func TestMain(m *testing.M) {
	if os.Getenv(asShipper) != "" {
		os.Exit(daemon.Program[shipper.Config]{Name: "shipper", Run: shipper.Run}.Main(nil))
	}
	os.Exit(m.Run())
}

// child is a shipper in a process of its own.
type child struct {
	cmd    *exec.Cmd
	stderr bytes.Buffer
	ended  chan error
}

func startShipper(t *testing.T, b *bustest.Bus, path string) *child {
	t.Helper()
	c := &child{cmd: exec.Command(os.Args[0]), ended: make(chan error, 1)}
	c.cmd.Env = append(os.Environ(), asShipper+"=1",
		"ADMIN_ADDR=",
		"LOG_LEVEL=warn",
		"NATS_URL="+b.URL(),
		"NATS_NKEY_SEED="+b.Seed(t, bus.ShipperRole("suricata")),
		"OPENCLAW_HOST="+bustest.Host,
		"SHIPPER_SOURCE=suricata",
		"SHIPPER_PATH="+path,
	)
	c.cmd.Stderr = &c.stderr
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { c.ended <- c.cmd.Wait() }()
	t.Cleanup(c.kill)
	return c
}

func (c *child) kill() {
	if err := c.cmd.Process.Kill(); err == nil { // SIGKILL
		c.ended <- <-c.ended
	}
}

// TestKilledShipperLosesAndDoublesNothing kills the shipper process with SIGKILL
// at random moments while its file is being written, and compares the stream
// with the file.
func TestKilledShipperLosesAndDoublesNothing(t *testing.T) {
	const lines, kills = 50_000, 20
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
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

	running := startShipper(t, b, path)
	feed, err := conn.Live(ctx, proto.StoredPrefix+".>")
	if err != nil {
		t.Fatal(err)
	}
	var stored uint64
	killed := 0
	for stored < lines {
		m, err := feed.Next(ctx)
		if err != nil {
			t.Fatalf("after %d stored lines: %v\n%s", stored, err, running.stderr.String())
		}
		// By sequence, not by counting: the feed may leave some out.
		stored = max(stored, m.Sequence)
		for len(due) > 0 && stored >= due[0] {
			due = due[1:]
			running.kill()
			killed++
			running = startShipper(t, b, path)
		}
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	if killed != kills {
		t.Fatalf("killed %d times, want %d", killed, kills)
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
		pending = fmt.Appendf(pending, `{"timestamp":"2026-11-22T07:09:02.262167+0000","flow_id":%d,"event_type":"dns","src_ip":"192.0.2.1","dns":{"type":"request","queries":[{"rrname":"host%d.example","rrtype":"A"}]}}`+"\n", 1<<60+i, i)
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

// compareWithFile checks that the stream holds each line of the file once, in
// order, byte for byte.
func compareWithFile(t *testing.T, ctx context.Context, conn *bus.Conn, path string, lines int) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	want := bufio.NewScanner(f)
	n := 0
	ids := make(map[string]bool, lines)
	for m, err := range conn.History(ctx, proto.StreamSecurity, proto.SourceFilter(bustest.Host, "suricata"), bus.Start{}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
		if !want.Scan() {
			t.Fatalf("message %d: the stream has more than the file", n)
		}
		var e proto.Event
		if err := json.Unmarshal(m.Data, &e); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(e.Raw, want.Bytes()) {
			t.Fatalf("message %d:\nstored  %s\nwritten %s", n, e.Raw, want.Bytes())
		}
		if ids[e.ID] {
			t.Fatalf("message %d: id %s occurs twice", n, e.ID)
		}
		ids[e.ID] = true
	}
	if n != lines {
		t.Fatalf("the stream holds %d lines, the file %d", n, lines)
	}
}
