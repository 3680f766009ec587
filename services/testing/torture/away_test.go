package torture

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/openclaw-security/bus/services/testing/childproc"
	"github.com/openclaw-security/bus/services/testing/testenv"
)

const (
	// backlogLines are written while the server is away, of at most backlogPad
	// bytes: about 50 MB.
	backlogLines = 2500
	backlogPad   = longPad
	// maxAwayMB is by how much the shipper may grow meanwhile: much less.
	maxAwayMB = 16
	// awaySamples are taken of its memory once it knows of the backlog.
	awaySamples = 30
)

// TestServerAway kills the server, lets a backlog grow and asks the shipper,
// which must say what it waits for, say how far it is behind, and not grow with
// the backlog. When the server is back, all of it must be stored.
func TestServerAway(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	t.Parallel()
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "eve.json")
	x := backlog{path: path, script: script{Seed: testenv.Seed(t), Pad: backlogPad}}
	x.write(t, 200)
	p := startPipeline(t, path)
	if _, err := awaitStored(ctx, p, x.lines); err != nil {
		t.Fatal(err)
	}
	await(t, p, "readiness", func() bool { ok, _ := readiness(t, p); return ok })
	before := memory(t, p)

	if err := p.do(stopStore); err != nil {
		t.Fatal(err)
	}
	x.write(t, backlogLines)
	await(t, p, "both conditions to fail", func() bool {
		ok, text := readiness(t, p)
		return !ok && strings.Contains(text, "not ready shipper/nats: ") && strings.Contains(text, "not ready shipper/publish: ")
	})
	// Less than two batches, of at most 1 MiB each, are under way.
	const underWay = 2 << 20
	await(t, p, "the lag to be known", func() bool { return metric(t, p, "secbus_shipper_lag_bytes") >= x.unread-underWay })
	if childproc.HasUsage {
		grown := peak(t, p) - before
		t.Logf("%d MB behind, grown by %.1f MB from %.1f MB", x.unread>>20, megabytes(grown), megabytes(before))
		fmt.Printf("result away_rss_growth_mb %.1f MB\n", megabytes(grown))
		if megabytes(grown) > maxAwayMB {
			t.Errorf("memory has grown by %.1f MB", megabytes(grown))
		}
	} else {
		t.Log("memory is not looked at: " + needsProc)
	}

	if err := p.do(startStore); err != nil {
		t.Fatal(err)
	}
	v, err := settle(ctx, p, task{Script: x.script, Lines: x.lines}, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	if faults := v.faults(mode{}); faults != "" {
		t.Errorf("%s\n%s", faults, p.story())
	}
	await(t, p, "readiness", func() bool { ok, _ := readiness(t, p); return ok })
}

// backlog writes lines as fast as it can.
type backlog struct {
	path   string
	script script
	lines  int
	unread int // bytes of the last write
}

func (x *backlog) write(t *testing.T, n int) {
	t.Helper()
	f, err := os.OpenFile(x.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	var line []byte
	x.unread = 0
	for range n {
		line = append(x.script.append(line[:0], lineID{0, x.lines}), '\n')
		x.lines++
		x.unread += len(line)
		if _, err := w.Write(line); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
}

// await polls until done.
func await(t *testing.T, p *pipeline, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(startTimeout)
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for !done() {
		if time.Now().After(deadline) {
			_, text := readiness(t, p)
			t.Fatalf("waiting for %s, for %s: lag %d, readiness:\n%s\n%s", what, startTimeout, metric(t, p, "secbus_shipper_lag_bytes"), text, p.story())
		}
		<-tick.C
	}
}

func readiness(t *testing.T, p *pipeline) (ok bool, text string) {
	t.Helper()
	status, text := get(t, p, "/readyz")
	return status == http.StatusOK, text
}

// metric returns a metric of the shipper's, rounded; 0 if it is not there yet.
func metric(t *testing.T, p *pipeline, name string) int {
	t.Helper()
	_, text := get(t, p, "/metrics")
	found := regexp.MustCompile(`(?m)^` + name + `(?:\{[^}]*\})? (\S+)$`).FindStringSubmatch(text)
	if found == nil {
		return 0
	}
	value, err := strconv.ParseFloat(found[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return int(value)
}

// get asks the shipper's admin server.
func get(t *testing.T, p *pipeline, path string) (status int, text string) {
	t.Helper()
	resp, err := http.Get("http://" + p.adminAddress() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// peak is the most memory that the shipper's process has for a while, in bytes.
func peak(t *testing.T, p *pipeline) int {
	t.Helper()
	tick := time.NewTicker(sampleInterval)
	defer tick.Stop()
	most := 0
	for range awaySamples {
		<-tick.C
		most = max(most, memory(t, p))
	}
	return most
}

// memory is what the shipper's process has in memory, in bytes; 0 where that
// cannot be known.
func memory(t *testing.T, p *pipeline) int {
	t.Helper()
	if !childproc.HasUsage {
		return 0
	}
	s, err := p.shipper.Usage()
	if err != nil {
		t.Fatal(err)
	}
	return s.RSS
}
