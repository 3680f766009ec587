package auditor

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/daemon"
	"github.com/openclaw-security/bus/services/testing/bustest"
	"github.com/openclaw-security/bus/services/testing/childproc"
	"github.com/openclaw-security/bus/services/testing/testenv"
)

const auditorRole = "auditor" // of the test binary, in a process that can be killed

func TestMain(m *testing.M) {
	childproc.Main(childproc.Roles{
		auditorRole:        func() int { return daemon.Program[Config]{Name: "auditor", Run: Run}.Main(nil) },
		bustest.ServerRole: bustest.Serve,
	})
	os.Exit(m.Run())
}

// system is an auditor and a NATS server, each a process.
type system struct {
	t       *testing.T
	dir     string
	nats    *bustest.Server
	auditor *childproc.Process
}

func startSystem(t *testing.T) *system {
	t.Helper()
	s := &system{t: t, dir: t.TempDir(), nats: bustest.RunServer(t)}
	// What an auditor had fetched when it was killed comes again after AckWait: that
	// is soon, since the test waits for it.
	durable := proto.AuditConsumer()
	durable.AckWait = 2 * time.Second
	if err := s.nats.Provision(t.Context(), bus.ProvisionConfig{Consumers: []proto.Consumer{durable}}); err != nil {
		t.Fatal(err)
	}
	s.auditor = &childproc.Process{Role: auditorRole, Env: append(s.nats.Environ(bus.RoleAuditor),
		"ADMIN_ADDR=", "LOG_LEVEL=info",
		"AUDIT_DIR="+s.reader().Dir, "AUDIT_SEGMENT_BYTES=1048576", "AUDIT_CHECKPOINT_EVERY=1s")}
	s.auditor.Run(t)
	return s
}

func (s *system) reader() Reader { return Reader{Dir: filepath.Join(s.dir, "audit"), Zone: time.UTC} }

func (s *system) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Error(err)
	}
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
			continue // all may be stored
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
// moments, TEST_KILLS times, while records come in: TEST_RECORDS, an even number.
// In the end, the log holds each record of the stream once, in a chain that is
// whole and that the checkpoints on the bus know, and the index knows each request.
func TestKilledProcessesLoseNoRecord(t *testing.T) {
	records, kills := testenv.Count(t, "TEST_RECORDS", 10_000), testenv.Count(t, "TEST_KILLS", 8)
	seed := testenv.Seed(t)
	random := rand.New(rand.NewPCG(seed, 0))
	s := startSystem(t)
	in := newSource(s.nats.Conn(t, bus.RoleProxy), requests(t, 0, records/2, 300))
	ctx, cancel := context.WithCancel(t.Context())
	var publishing sync.WaitGroup
	publishing.Go(func() { in.run(ctx, rand.New(rand.NewPCG(seed, 1))) })
	t.Cleanup(publishing.Wait)
	t.Cleanup(cancel)

	for i := range kills {
		before := s.written()
		in.allow(records * (i + 1) / (kills + 1))
		bustest.Eventually(t, "the log grows", func() bool { return s.written() != before })
		<-time.After(time.Duration(random.Int64N(int64(40 * time.Millisecond)))) // the random moment
		// The first two are one of each.
		if i == 0 || i > 1 && random.IntN(2) == 0 {
			s.must(s.auditor.Restart())
			continue
		}
		s.must(s.nats.Kill())
		if random.IntN(2) == 0 {
			s.must(s.auditor.Restart()) // which finds no NATS when it comes back
		}
		s.must(s.nats.Start())
	}
	in.allow(records)
	publishing.Wait()
	settled(t, s.nats.Conn(t, bus.RoleOperator))
	bustest.Eventually(t, "the index knows all requests", func() bool { return sums(t, s.reader()).Total.Requests == int64(records/2) })

	v, err := s.reader().Verify(t.Context(), s.nats.Conn(t, bus.RoleTail), VerifyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	wantWhole(t, v, records)
	if report := sums(t, s.reader()); report.Unindexed != 0 || report.Total.Open != 0 || report.Total.Interrupted != 0 {
		t.Errorf("the index has %d records in no row, %d open requests, %d interrupted ones", report.Unindexed, report.Total.Open, report.Total.Interrupted)
	}
	t.Logf("%d records in %d files; %d auditors and %d servers were killed", v.Records, v.Segments, s.auditor.Kills(), s.nats.Kills())
}
