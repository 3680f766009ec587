package auditor

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/bustest"
	"github.com/openclaw-security/bus/services/internal/daemon"
	"github.com/openclaw-security/bus/services/internal/natsconf"
)

var (
	records = flag.Int("records", 10_000, "how many records TestKilledProcessesLoseNoRecord publishes, an even number")
	kills   = flag.Int("kills", 8, "how often TestKilledProcessesLoseNoRecord kills the auditor or NATS")
)

// These in the environment make the test binary a process that can be killed.
// Each ends by itself when its standard input does, so that none outlives a
// test that is broken off.
const (
	asAuditor = "TEST_RUN_AS_AUDITOR"
	asNATS    = "TEST_RUN_AS_NATS" // a NATS server: "<directory> <address>"; it says its URL
)

func TestMain(m *testing.M) {
	if os.Getenv(asAuditor) != "" {
		os.Exit(daemon.Program[Config]{Name: "auditor", Run: runWhileWatched}.Main(nil))
	}
	if args := strings.Fields(os.Getenv(asNATS)); len(args) == 2 {
		if err := bustest.ServeNATS(args[0], args[1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func runWhileWatched(ctx context.Context, cfg Config, rt daemon.Runtime) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	return Run(ctx, cfg, rt)
}

// system is an auditor and a NATS server, each a process.
type system struct {
	t       *testing.T
	dir     string
	natsURL string
	nats    *bustest.Process
	auditor *bustest.Process
}

func startSystem(t *testing.T) *system {
	t.Helper()
	s := &system{t: t, dir: t.TempDir()}
	s.nats = bustest.Begin(t, &s.natsURL, nil, asNATS+"="+s.dir+" 127.0.0.1:0")
	// What an auditor had fetched when it was killed comes again after AckWait: the
	// second plan shortens that, since the test waits for it.
	durable := proto.Consumers()[slices.IndexFunc(proto.Consumers(), func(c proto.Consumer) bool { return c.Durable == proto.DurableAuditor })]
	durable.AckWait = 2 * time.Second
	for _, plan := range []bus.Plan{{}, {Consumers: []proto.Consumer{durable}}} {
		if _, err := s.connect(bus.RoleProvisioner).Provision(t.Context(), plan); err != nil {
			t.Fatal(err)
		}
	}
	s.startAuditor()
	return s
}

func (s *system) reader() Reader { return Reader{Dir: filepath.Join(s.dir, "audit"), Zone: time.UTC} }

func (s *system) startNATS() {
	s.t.Helper()
	s.nats = bustest.Begin(s.t, &s.natsURL, nil, asNATS+"="+s.dir+" "+strings.TrimPrefix(s.natsURL, "nats://"))
}

func (s *system) startAuditor() {
	s.t.Helper()
	ids, err := bustest.Identities(s.dir)
	if err != nil {
		s.t.Fatal(err)
	}
	s.auditor = bustest.Begin(s.t, nil, nil, asAuditor+"=1", "ADMIN_ADDR=", "LOG_LEVEL=info",
		"OPENCLAW_HOST="+bustest.Host, "NATS_URL="+s.natsURL, "NATS_NKEY_SEED_FILE="+ids.SeedFile(bus.RoleAuditor),
		"AUDIT_DIR="+s.reader().Dir, "AUDIT_SEGMENT_BYTES=1048576", "AUDIT_CHECKPOINT_EVERY=1s")
}

func (s *system) connect(role string) *bus.Conn {
	s.t.Helper()
	ids, err := bustest.Identities(s.dir)
	if err != nil {
		s.t.Fatal(err)
	}
	key, err := natsconf.LoadSeed(ids.SeedFile(role))
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	c, err := bus.Connect(ctx, bus.Options{URL: s.natsURL, Role: role, Key: key})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = c.Close() })
	return c
}

// written tells one state of the log's files from another.
func (s *system) written() string {
	var state strings.Builder
	entries, _ := os.ReadDir(logDir(s.reader().Dir)) // there is none at first
	for _, e := range entries {
		if info, err := e.Info(); err == nil && strings.HasSuffix(e.Name(), ".jsonl") {
			fmt.Fprintln(&state, e.Name(), info.Size())
		}
	}
	return state.String()
}

// source publishes messages in order, each once, as far as it is allowed to.
type source struct {
	fence *bus.Fence
	place map[string]int // of a message by its id, from 1
	msgs  []*nats.Msg

	mu      sync.Mutex
	allowed int
	changed chan struct{} // closed when allowed has changed
}

func newSource(conn *bus.Conn, msgs []*nats.Msg) *source {
	s := &source{
		fence: bus.NewFence(conn, proto.StreamAudit, proto.SourceFilter(bustest.Host, bus.RoleProxy)),
		place: make(map[string]int), msgs: msgs, changed: make(chan struct{}),
	}
	for i, m := range msgs {
		s.place[m.Header.Get(proto.HeaderEventID)] = i + 1
	}
	return s
}

// allow lets the source go on up to n messages.
func (s *source) allow(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.allowed = n
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *source) limit() (int, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.allowed, s.changed
}

// run publishes until all messages are stored or ctx is done. What became of a
// batch whose acknowledgement is missing, the last message in the stream tells.
func (s *source) run(ctx context.Context, random *rand.Rand) {
	stored, known := 0, false
	for stored < len(s.msgs) && ctx.Err() == nil {
		if !known {
			last, err := s.fence.Last(ctx)
			if err != nil {
				continue // each attempt takes its time
			}
			if stored, known = 0, true; last != nil {
				stored = s.place[last.Header.Get(proto.HeaderEventID)]
			}
		}
		allowed, changed := s.limit()
		if stored >= min(allowed, len(s.msgs)) {
			select {
			case <-changed:
			case <-ctx.Done():
			}
			continue
		}
		n := min(1+random.IntN(proto.MaxBatch), allowed-stored, len(s.msgs)-stored)
		if err := s.fence.Publish(ctx, s.msgs[stored:stored+n]); err != nil {
			known = false
			continue
		}
		stored += n
	}
}

// TestKilledProcessesLoseNoRecord kills the auditor and NATS with SIGKILL at random
// moments while records come in. In the end, the log holds each record of the
// stream once, in a chain that is whole and that the checkpoints on the bus know,
// and the index knows each request.
func TestKilledProcessesLoseNoRecord(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	s := startSystem(t)
	in := newSource(s.connect(bus.RoleProxy), requests(t, 0, *records/2, 300))
	ctx, cancel := context.WithCancel(t.Context())
	var publishing sync.WaitGroup
	publishing.Go(func() { in.run(ctx, rand.New(rand.NewPCG(seed, 1))) })
	t.Cleanup(publishing.Wait)
	t.Cleanup(cancel)

	auditors, servers := 0, 0
	for i := range *kills {
		before := s.written()
		in.allow(*records * (i + 1) / (*kills + 1))
		bustest.Eventually(t, "the log grows", func() bool { return s.written() != before })
		<-time.After(time.Duration(random.Int64N(int64(40 * time.Millisecond)))) // the random moment
		// The first two are one of each.
		if i == 0 || i > 1 && random.IntN(2) == 0 {
			s.auditor.Kill(t)
			s.startAuditor()
			auditors++
			continue
		}
		s.nats.Kill(t)
		servers++
		if random.IntN(2) == 0 {
			s.auditor.Kill(t) // which finds no NATS when it comes back
			s.startAuditor()
			auditors++
		}
		s.startNATS()
	}
	in.allow(*records)
	publishing.Wait()
	settled(t, s.connect(bus.RoleOperator))
	bustest.Eventually(t, "the index knows all requests", func() bool { return sums(t, s.reader()).Total.Requests == int64(*records/2) })

	v, err := s.reader().Verify(t.Context(), s.connect(bus.RoleTail), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	wantWhole(t, v, *records)
	if report := sums(t, s.reader()); report.Unindexed != 0 || report.Total.Open != 0 || report.Total.Interrupted != 0 {
		t.Errorf("the index has %d records in no row, %d open requests, %d interrupted ones", report.Unindexed, report.Total.Open, report.Total.Interrupted)
	}
	t.Logf("%d records in %d files; %d auditors and %d servers were killed", v.Records, v.Segments, auditors, servers)
}
