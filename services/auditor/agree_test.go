package auditor

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/auditor/internal/anomaly"
	"github.com/openclaw-security/bus/services/auditor/internal/chain"
	"github.com/openclaw-security/bus/services/auditor/internal/index"
	"github.com/openclaw-security/bus/services/internal/audit"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/daemon"
	"github.com/openclaw-security/bus/services/testing/bustest"
)

func TestRedeliveredRecordsAreLoggedOnce(t *testing.T) {
	r := newRig(t, redeliverable())
	a := r.start()
	r.publish(requests(t, 0, 20, 0)...)
	r.settled()
	a.stop()
	r.redeliver()
	r.publish(requests(t, 20, 5, 0)...)
	a = r.start()
	r.settled()
	r.signed(50)
	a.stop()
	wantWhole(t, r.verify(), 50)
	if repeated := a.count("auditor_records_repeated_total"); repeated != 40 {
		t.Errorf("%v records came again, want 40: the test has redelivered something else", repeated)
	}
	if report := sums(t, r.reader); report.Total.Requests != 25 || report.Unindexed != 0 {
		t.Errorf("the index has %d requests, and %d records in no row", report.Total.Requests, report.Unindexed)
	}
}

// TestEverythingStoredIsLogged publishes records that no proxy would.
func TestEverythingStoredIsLogged(t *testing.T) {
	r := newRig(t)
	a := r.start()
	strange := []*nats.Msg{
		message("not-json", []byte("this is\nno JSON")),
		message("not-utf-8", []byte{0xff, 0, 0xfe}),
		message("another-kind", []byte(`{"id":1}`)),
		message("nothing", nil),
		message("", []byte(`{"without":"an id"}`)),
		message("an id with spaces", []byte(`{"with":"a bad id"}`)),
		message(strings.Repeat("long", chain.MaxID), []byte(`{"with":"too long an id"}`)),
	}
	r.publish(strange...)
	r.publish(requests(t, 0, 1, 0)...)
	r.settled()
	n := len(strange) + 2
	r.signed(uint64(n))
	a.stop()
	wantWhole(t, r.verify(), n)
	if report := sums(t, r.reader); report.Total.Requests != 1 || report.Unindexed != int64(len(strange)) {
		t.Errorf("the index has %d requests, and %d records in no row", report.Total.Requests, report.Unindexed)
	}
	i := 0
	for record, err := range chain.Scan(logDir(r.reader.Dir), 1) {
		if err != nil {
			t.Fatal(err)
		}
		if i < len(strange) && !bytes.Equal(record.Payload, strange[i].Data) {
			t.Errorf("record %d is %q, want %q", record.Seq, record.Payload, strange[i].Data)
		}
		i++
	}
	if exported := r.export("ocsf"); exported != n {
		t.Errorf("%d records exported, want %d", exported, n)
	}
}

// TestLargeRecordsAreLogged takes in more bytes than the log takes at once.
func TestLargeRecordsAreLogged(t *testing.T) {
	dir := t.TempDir()
	l, err := openLog(Config{Dir: dir}, bustest.Log(t))
	if err != nil {
		t.Fatal(err)
	}
	const n = 10
	a := &auditor{log: l, metrics: newMetrics(prometheus.NewRegistry()), indexed: make(chan indexing, n)}
	payload := text(t, auditRecord(1, proto.PhaseEnd, time.Now()), chain.MaxPayload-4096)
	var records []chain.Record
	for i := range uint64(n) {
		records = append(records, record("", i+1, time.Now(), payload))
	}
	if err := a.append(t.Context(), records); err != nil {
		t.Error(err)
	}
	if end := l.Last(); end.Seq != n || end.StreamSeq != n {
		t.Errorf("the log ends at %+v", end)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestTornLogIsCompleted starts with a log whose last line a crash has torn, and
// more records behind it than the index takes at once.
func TestTornLogIsCompleted(t *testing.T) {
	r := newRig(t)
	a := r.start()
	r.publish(requests(t, 0, 10, 0)...)
	r.settled()
	a.stop()
	f, err := os.OpenFile(filepath.Join(logDir(r.reader.Dir), "00000001.jsonl"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString(`{"prev":"`)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	const more = 3 * fetchSize // requests, and twice as many records
	r.publish(requests(t, 10, more, 0)...)
	a = r.start()
	r.settled()
	r.signed(2 * (10 + more))
	a.stop()
	wantWhole(t, r.verify(), 2*(10+more))
	if report := sums(t, r.reader); report.Total.Requests != 10+more {
		t.Errorf("the index has %d requests, want %d", report.Total.Requests, 10+more)
	}
}

// TestIndexIsRebuilt damages the index in ways after which it has to be built from
// the log again.
func TestIndexIsRebuilt(t *testing.T) {
	const n = 100
	r := newRig(t)
	a := r.start()
	r.publish(requests(t, 0, n, 0)...)
	r.settled()
	a.stop()
	// indexOf builds the index of another log, of this many requests.
	indexOf := func(t *testing.T, requests int) []byte {
		t.Helper()
		dir := t.TempDir()
		fill(t, dir, requests, time.Now(), "another")
		x, _, err := openIndex(t.Context(), dir, last(t, dir), bustest.Log(t))
		if err != nil {
			t.Fatal(err)
		}
		if err := x.Close(); err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(indexFile(dir))
		if err != nil {
			t.Fatal(err)
		}
		return content
	}
	for _, test := range []struct {
		name  string
		alter func(t *testing.T, index []byte) []byte
	}{
		{"deleted", func(*testing.T, []byte) []byte { return nil }},
		{"no database", func(*testing.T, []byte) []byte { return []byte(strings.Repeat("nothing ", 1000)) }},
		{"cut off", func(_ *testing.T, index []byte) []byte { return index[:len(index)/2] }},
		{"overwritten behind its first page", func(_ *testing.T, index []byte) []byte {
			const page = 4096
			return append(index[:page:page], bytes.Repeat([]byte{0xa5}, len(index)-page)...)
		}},
		{"of a shorter log", func(t *testing.T, _ []byte) []byte { return indexOf(t, n/2) }},
		{"of another log of as many records", func(t *testing.T, _ []byte) []byte { return indexOf(t, n) }},
		{"of a longer log", func(t *testing.T, _ []byte) []byte { return indexOf(t, 2*n) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := copied(t, r.reader.Dir)
			content, err := os.ReadFile(indexFile(dir))
			if err != nil {
				t.Fatal(err)
			}
			if content = test.alter(t, content); content == nil {
				err = os.Remove(indexFile(dir))
			} else {
				err = os.WriteFile(indexFile(dir), content, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			// What is damaged where nobody looks shows when there is something to add.
			fill(t, dir, n, time.Now(), "agent")
			x, _, err := openIndex(t.Context(), dir, last(t, dir), bustest.Log(t))
			if err != nil {
				t.Fatal(err)
			}
			if err := x.Close(); err != nil {
				t.Fatal(err)
			}
			report := sums(t, Reader{Dir: dir, Zone: time.UTC})
			if len(report.Rows) != 1 || report.Rows[0].Key != "agent" || report.Total.Requests != 2*n || report.Unindexed != 0 {
				t.Errorf("%d requests, and %d records in no row: %+v", report.Total.Requests, report.Unindexed, report.Rows)
			}
		})
	}
}

// fill appends the records of so many requests of a client to the log in an
// auditor's directory, behind what is there, as if the bus had stored them then.
func fill(t *testing.T, dir string, requests int, at time.Time, client string) {
	t.Helper()
	l, err := openLog(Config{Dir: dir}, bustest.Log(t))
	if err != nil {
		t.Fatal(err)
	}
	seq := l.Last().Seq
	var records []chain.Record
	for i := range requests {
		for _, phase := range []proto.Phase{proto.PhaseStart, proto.PhaseEnd} {
			seq++
			a := auditRecord(1_000_000+int(seq-1)/2, phase, at.Add(time.Duration(i)*time.Millisecond))
			a.Client = client
			records = append(records, chain.Record{ID: a.ID, StreamSeq: seq, Stored: at, Payload: text(t, a, 0)})
		}
	}
	if err := errors.Join(l.Append(records), l.Close()); err != nil {
		t.Fatal(err)
	}
}

func last(t *testing.T, dir string) chain.Head {
	t.Helper()
	l, err := openLog(Config{Dir: dir}, bustest.Log(t))
	if err != nil {
		t.Fatal(err)
	}
	head := l.Last()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return head
}

// TestIndexHasNoHole lets a batch fail: what comes behind it must not hide that it
// is missing, since the index catches up from its last record.
func TestIndexHasNoHole(t *testing.T) {
	dir := t.TempDir()
	x, err := index.Open(indexFile(dir), index.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	a := &auditor{index: x, out: bustest.Log(t), metrics: newMetrics(prometheus.NewRegistry()), indexed: make(chan indexing, 3)}
	entry := func(seq uint64) chain.Record {
		return chain.Record{Seq: seq, Stored: time.Now(), Payload: text(t, auditRecord(int(seq), proto.PhaseStart, time.Now()), 0)}
	}
	a.indexed <- indexing{[]chain.Record{entry(1)}, "one"}
	a.indexed <- indexing{[]chain.Record{entry(3), entry(2)}, "three"} // which the index refuses
	a.indexed <- indexing{[]chain.Record{entry(4)}, "four"}
	close(a.indexed)
	if err := a.follow(t.Context()); err != nil {
		t.Fatal(err)
	}
	if seq, _ := x.Position(); seq != 1 {
		t.Errorf("the index goes on from record %d, and has none behind 1", seq)
	}
}

// TestFullDisk lets the first attempt at a new segment find the disk full.
func TestFullDisk(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs /dev/full")
	}
	r := newRig(t)
	a := r.start()
	r.publish(requests(t, 0, segmentRequests, answerBytes)...)
	r.settled()
	// The segment that comes next is made under this name. The log removes it when
	// writing fails: then there is room again.
	if err := os.Symlink("/dev/full", filepath.Join(logDir(r.reader.Dir), "00000002.jsonl.tmp")); err != nil {
		t.Fatal(err)
	}
	r.publish(requests(t, segmentRequests, 5, 0)...)
	full := func() bool {
		conditions, _ := a.ready.Check()
		return slices.ContainsFunc(conditions, func(c daemon.Condition) bool { return c.Name == "log" && errors.Is(c.Err, chain.ErrNoSpace) })
	}
	bustest.Eventually(t, "the auditor says that the disk is full", full)
	if v := r.verify(); v.Stream.Waiting != 10 || v.Records != segmentRecords || !v.OK() {
		t.Errorf("while the disk is full the log has %d records and %d are waiting: %v", v.Records, v.Stream.Waiting, v.Corruptions)
	}
	r.settled()
	if full() {
		t.Error("the disk has room again, and the auditor says that it is full")
	}
	r.signed(segmentRecords + 10)
	a.stop()
	wantWhole(t, r.verify(), segmentRecords+10)
}

// TestNewToolIsToldOnce has a tool called for the first time in a log that is old
// enough to know.
func TestNewToolIsToldOnce(t *testing.T) {
	r := newRig(t, redeliverable())
	fill(t, r.reader.Dir, anomaly.LearningRequests, time.Now().Add(-2*anomaly.LearningTime), "agent")
	a := auditRecord(1, proto.PhaseEnd, time.Now())
	a.ToolCalls[0].Name = "exec"
	payload := text(t, a, 0)
	told := func() (n int) {
		filter := proto.StoredPrefix + ".*." + bustest.Host + "." + bus.RoleAuditor + "." + anomaly.KindFirstSeen + ".*"
		streams, err := r.tail.SecurityStreams(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for m, err := range r.tail.MergedHistory(t.Context(), streams, filter, bus.Start{}) {
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Contains(m.Data, []byte("exec")) {
				t.Errorf("the event does not name the tool: %s", m.Data)
			}
			n++
		}
		return n
	}
	auditor := r.start()
	r.publish(message(a.ID, payload))
	bustest.Eventually(t, "the tool is reported", func() bool { return told() > 0 })
	// The same record, and another call.
	auditor.stop()
	r.redeliver()
	auditor = r.start()
	b := auditRecord(2, proto.PhaseEnd, time.Now())
	b.ToolCalls[0].Name = "exec"
	r.publish(message(b.ID, text(t, b, 0)))
	r.settled()
	auditor.stop()
	if n := told(); n != 1 {
		t.Errorf("the tool was reported %d times", n)
	}
}

// TestReadersBesideTheAuditor asks all questions while the log grows.
func TestReadersBesideTheAuditor(t *testing.T) {
	r := newRig(t)
	a := r.start()
	r.publish(requests(t, 0, 1, 0)...)
	bustest.Eventually(t, "the first request is indexed", func() bool { return a.count("auditor_records_indexed_total") == 2 })
	const rounds, each = 20, 100
	for round := range rounds {
		r.publish(requests(t, 1+round*each, each, 100)...)
		var id string
		for request, err := range r.reader.List(t.Context(), audit.Filter{}, audit.Order{Limit: 1}) {
			if err != nil {
				t.Fatal(err)
			}
			id = request.RequestID
		}
		shown, err := r.reader.Show(t.Context(), id)
		if err != nil || !bytes.Contains(shown.Start, []byte(id)) || shown.Request.EndSeq != 0 && !bytes.Contains(shown.End, []byte(id)) {
			t.Fatalf("request %q: %+v, %v", id, shown, err)
		}
		if _, err := r.reader.Report(t.Context(), audit.ByTool, audit.Filter{}); err != nil {
			t.Fatal(err)
		}
		if uses, err := r.reader.Tools(t.Context(), audit.Filter{}); err != nil || len(uses) != 1 {
			t.Fatalf("%+v, %v", uses, err)
		}
		if exported := r.export("otel"); exported < 2 {
			t.Fatalf("%d records exported", exported)
		}
		if v := r.verify(); !v.OK() {
			t.Fatalf("%v %v", v.Corruptions, v.Stream.Differences)
		}
	}
	r.settled()
	r.signed(2 + 2*rounds*each)
	a.stop()
	wantWhole(t, r.verify(), 2+2*rounds*each)
}

// alerts are the titles of the auditor's alerts of a kind on the bus.
func (r *rig) alerts(kind string) (titles []string) {
	r.t.Helper()
	streams, err := r.tail.SecurityStreams(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	filter := "security.alert.*." + bus.RoleAuditor + "." + kind + ".high"
	for m, err := range r.tail.MergedHistory(r.t.Context(), streams, filter, bus.Start{}) {
		var e proto.Event
		if err != nil || json.Unmarshal(m.Data, &e) != nil {
			r.t.Fatalf("reading the alerts: %v, %v", m, err)
		}
		titles = append(titles, e.Title)
	}
	return titles
}

// TestAnotherLogIsAFault puts another log in the place of the one that the bus knows: verifying
// it fails, and an auditor that goes on with it raises an alert, once.
func TestAnotherLogIsAFault(t *testing.T) {
	r := newRig(t)
	a := r.start()
	records := requests(t, 0, 5, 0)
	r.publish(records...)
	r.settled()
	r.signed(10)
	a.stop()
	if alerts := r.alerts("*"); len(alerts) > 0 {
		t.Errorf("alerts about an untouched log: %q", alerts)
	}
	known := last(t, r.reader.Dir).Log

	// All records and a signature, as who has another key can write them.
	other := newRig(t)
	b := other.start()
	other.publish(records...)
	other.settled()
	other.signed(10)
	b.stop()
	r.cfg.Dir, r.reader.Dir = other.cfg.Dir, other.reader.Dir
	faults := func(o VerifyOptions) string {
		v, err := r.reader.Verify(t.Context(), r.tail, o)
		if err != nil {
			t.Fatal(err)
		}
		if v.OK() != (len(v.Stream.Faults) == 0) {
			t.Errorf("%+v", v.Stream)
		}
		return strings.Join(v.Stream.Faults, "; ")
	}
	if got := faults(VerifyOptions{}); !strings.Contains(got, "no checkpoint of it") || !strings.Contains(got, known) {
		t.Errorf("another log has the faults %q", got)
	}
	if got := faults(VerifyOptions{NewLog: true}); !strings.Contains(got, "no checkpoint of it") || strings.Contains(got, known) {
		t.Errorf("with --new-log it has the faults %q", got)
	}
	for range 2 {
		a = r.start()
		bustest.Eventually(t, "the auditor is ready", func() bool { _, ready := a.ready.Check(); return ready })
		bustest.Eventually(t, "the log is signed on the bus", func() bool { return !strings.Contains(faults(VerifyOptions{}), "no checkpoint of it") })
		a.stop()
	}
	if alerts := r.alerts(KindNewLog); len(alerts) != 1 || !strings.Contains(alerts[0], known) {
		t.Errorf("alerts %q", alerts)
	}
	if got := faults(VerifyOptions{NewLog: true}); got != "" {
		t.Errorf("a log that was begun anew on purpose has the faults %q", got)
	}
}

// TestStreamIsYoungerThanTheLog goes on with a log on a bus that was made anew.
func TestStreamIsYoungerThanTheLog(t *testing.T) {
	before := newRig(t)
	a := before.start()
	before.publish(requests(t, 0, 20, 0)...)
	before.settled()
	before.signed(40)
	a.stop()

	r := newRig(t)
	r.cfg.Dir, r.reader.Dir = before.cfg.Dir, before.reader.Dir
	if v := r.verify(); v.OK() || v.Stream.Count > 0 || v.Stream.Older != 40 || v.Stream.Younger {
		t.Errorf("on an empty bus: %+v", v.Stream)
	}
	a = r.start()
	r.signed(40) // though nothing was logged
	if v := r.verify(); !v.OK() || v.Stream.Older != 40 {
		t.Errorf("once the log is signed there: %+v", v.Stream)
	}
	r.publish(requests(t, 20, 3, 0)...)
	r.settled()
	r.signed(46)
	a.stop()
	if v := r.verify(); !v.OK() || v.Stream.Compared != 6 || v.Stream.Older != 40 || !v.Stream.Younger {
		t.Errorf("with new records: %+v", v.Stream)
	}
	r.publish(requests(t, 23, 1, 0)...)
	if v := r.verify(); !v.OK() || v.Stream.Waiting != 2 {
		t.Errorf("while records wait: %+v", v.Stream)
	}
	if alerts := r.alerts("*"); len(alerts) > 0 {
		t.Errorf("alerts %q", alerts)
	}
}

// TestCutLogIsAnAlert sets a log back, and cuts nothing else.
func TestCutLogIsAnAlert(t *testing.T) {
	r := newRig(t)
	a := r.start()
	r.publish(requests(t, 0, 5, 0)...)
	r.settled()
	r.signed(10)
	a.stop()
	earlier := copied(t, r.reader.Dir)
	a = r.start()
	r.publish(requests(t, 5, 5, 0)...)
	r.settled()
	r.signed(20)
	a.stop()
	r.cfg.Dir = earlier
	a = r.start()
	bustest.Eventually(t, "there is an alert", func() bool { return len(r.alerts(KindCutLog)) == 1 })
	a.stop()
}
