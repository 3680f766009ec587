package shipper_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/daemon"
	"github.com/openclaw-security/bus/services/internal/secret"
	"github.com/openclaw-security/bus/services/shipper"
	"github.com/openclaw-security/bus/services/shipper/internal/normalize"
	"github.com/openclaw-security/bus/services/testing/bustest"
	"github.com/openclaw-security/bus/suricata"
	"github.com/openclaw-security/bus/tracee"
)

// run runs a shipper in this process until the test ends.
type run struct {
	ready *daemon.Readiness
	ended chan error
	stop  context.CancelFunc
}

func start(t *testing.T, b *bustest.Bus, source, path string, environ ...string) *run {
	t.Helper()
	var cfg shipper.Config
	if err := config.Load(&cfg, append(environ,
		"SHIPPER_SOURCE="+source,
		"SHIPPER_PATH="+path,
		"OPENCLAW_HOST="+bustest.Host,
		"NATS_URL="+b.URL(),
		"NATS_NKEY_SEED="+b.Seed(t, bus.ShipperRole(source)),
	)); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	rt := daemon.Runtime{Log: bustest.Log(t), Metrics: prometheus.NewRegistry(), Ready: daemon.NewReadiness()}
	r := &run{ready: rt.Ready, ended: make(chan error, 1), stop: stop}
	go func() { r.ended <- shipper.Run(ctx, cfg, rt) }()
	t.Cleanup(func() { r.end(t) })
	return r
}

// end stops the shipper and checks that it ended well.
func (r *run) end(t *testing.T) {
	t.Helper()
	r.stop()
	if err := r.failure(t); err != nil {
		t.Errorf("the shipper ended with %v", err)
	}
}

// failure waits for the shipper to end and returns its error.
func (r *run) failure(t *testing.T) error {
	t.Helper()
	select {
	case err := <-r.ended:
		r.ended <- nil
		return err
	case <-time.After(30 * time.Second):
		t.Fatal("the shipper does not end")
		return nil
	}
}

func (r *run) condition(name string) string {
	conditions, _ := r.ready.Check()
	for _, c := range conditions {
		if c.Name == name && c.Err != nil {
			return c.Err.Error()
		}
	}
	return ""
}

// feed reads what is stored, in the order of its source.
type feed struct {
	t     *testing.T
	live  *bus.Feed
	whole []*bus.Stored // of a round of which all has arrived
}

func listen(t *testing.T, b *bustest.Bus) *feed {
	t.Helper()
	live, err := b.Conn(t, bus.RoleTail).Live(t.Context(), proto.StoredPrefix+".>")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(live.Close)
	return &feed{t: t, live: live}
}

// next returns the next message. The alerts and the events of a round are stored side
// by side, so that it waits for all of a round.
func (f *feed) next() (*bus.Stored, *proto.Event) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), 30*time.Second)
	defer cancel()
	var round []*bus.Stored
	for len(f.whole) == 0 {
		m, err := f.live.Next(ctx)
		if err != nil {
			f.t.Fatal(err)
		}
		round = append(round, m)
		if place := m.Header.Get(proto.HeaderPlace); strings.HasSuffix(place, "/") || strings.HasSuffix(place, fmt.Sprintf("/%d", len(round))) {
			f.whole = round
			slices.SortFunc(f.whole, func(a, b *bus.Stored) int { return placeOf(a) - placeOf(b) })
		}
	}
	m := f.whole[0]
	f.whole = f.whole[1:]
	e := new(proto.Event)
	if err := json.Unmarshal(m.Data, e); err != nil {
		f.t.Fatal(err)
	}
	return m, e
}

func placeOf(m *bus.Stored) (place int) {
	_, _ = fmt.Sscanf(m.Header.Get(proto.HeaderPlace), "%d/", &place)
	return place
}

func appendTo(t *testing.T, path string, text []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(text); err != nil {
		t.Fatal(err)
	}
}

// TestRecordingsArriveUnchanged ships both recordings and compares each stored
// event with its line: they differ in secrets alone, which one line has, and not
// even in those where the owner wants it so.
func TestRecordingsArriveUnchanged(t *testing.T) {
	for _, test := range []struct {
		source, raw string
		recording   []byte
		alerts      int
		redacted    int
	}{
		{shipper.SourceSuricata, "redacted", suricata.Recording(), 15, 1},
		{shipper.SourceSuricata, "verbatim", suricata.Recording(), 15, 0},
		{shipper.SourceTracee, "redacted", tracee.Recording(), 32, 0},
	} {
		t.Run(test.source+" "+test.raw, func(t *testing.T) {
			b := bustest.Start(t)
			f := listen(t, b)
			path := filepath.Join(t.TempDir(), "sensor.json")
			start(t, b, test.source, path, "SHIPPER_RAW="+test.raw)
			appendTo(t, path, test.recording)
			alerts, redacted := 0, 0
			for line := range bytes.Lines(test.recording) {
				m, e := f.next()
				line = bytes.TrimSuffix(line, []byte("\n"))
				if e.RawSHA256 != "" {
					redacted++
					if want := fmt.Sprintf("%x", sha256.Sum256(line)); e.RawSHA256 != want || !slices.Contains(e.Tags, "redacted") {
						t.Errorf("raw_sha256 %s, want %s; tags %q", e.RawSHA256, want, e.Tags)
					}
					line, _ = secret.JSON(line)
				}
				if !bytes.Equal(e.Raw, line) {
					t.Fatalf("stored  %s\nwritten %s", e.Raw, line)
				}
				if test.raw == "redacted" && bytes.Contains(m.Data, []byte("sk-ant-")) {
					t.Errorf("stored with a secret: %s", m.Data)
				}
				if want := e.Subject().Stored(); m.Subject != want {
					t.Errorf("stored under %s, belongs under %s", m.Subject, want)
				}
				if m.Header.Get(proto.HeaderEventID) != e.ID || m.Header.Get(proto.HeaderCheckpoint) == "" {
					t.Errorf("headers %v of event %s", m.Header, e.ID)
				}
				if e.Severity.Class() == proto.ClassAlert {
					alerts++
				}
			}
			if alerts != test.alerts || redacted != test.redacted {
				t.Errorf("%d alerts, want %d; %d redacted, want %d", alerts, test.alerts, redacted, test.redacted)
			}
		})
	}
}

// TestBrokenLines ships what no sensor should write: each line has its
// documented result, and the line after it arrives.
func TestBrokenLines(t *testing.T) {
	b := bustest.Start(t)
	f := listen(t, b)
	path := filepath.Join(t.TempDir(), "eve.json")
	start(t, b, shipper.SourceSuricata, path)
	const alert = `{"timestamp":"2026-11-22T07:09:02.262167+0000","event_type":"alert","alert":{"signature":"Evil%s","signature_id":1,"severity":1}}`
	with := func(s string) string { return strings.Replace(alert, "%s", s, 1) }
	for _, test := range []struct {
		name, line string
		kind       string
		severity   proto.Severity
		tag        string
		raw        bool   // kept byte for byte
		reason     string // of Line
	}{
		{"malformed UTF-8", with("\xff\xfe"), "alert", proto.SeverityHigh, "malformed-utf8", false, "UTF-8"},
		{"duplicate keys", strings.Replace(with(""), "{", `{"event_type":"dns",`, 1), "alert", proto.SeverityHigh, "duplicate-keys", true, ""},
		{"alert of 60 KB", strings.Replace(with(""), `}}`, `},"x":"`+strings.Repeat("x", 60_000)+`"}`, 1), "alert", proto.SeverityHigh, "", true, ""},
		{"alert of 1 MB", with(strings.Repeat("x", 1000_000)), "alert", proto.SeverityHigh, "", false, "does not fit"},
		{"alert of many answers", strings.Replace(with(""), `"event_type"`, `"dns":{"type":"answer","answers":[`+strings.TrimSuffix(strings.Repeat(`{"rdata":"`+strings.Repeat("a", 90)+`"},`, 9000), ",")+`]},"event_type"`, 1), "alert", proto.SeverityHigh, "clipped", false, "does not fit"},
		{"telemetry of 1 MB", `{"timestamp":"2026-11-22T07:09:02.262167+0000","event_type":"flow","x":"` + strings.Repeat("x", 1000_000) + `"}`, "flow", proto.SeverityInfo, "", false, "does not fit"},
		{"telemetry of 50 kB", `{"timestamp":"2026-11-22T07:09:02.262167+0000","event_type":"flow","x":"` + strings.Repeat("x", 50_000) + `"}`, "flow", proto.SeverityInfo, "", true, ""},
		{"longer than the limit", strings.Replace(with(""), `}}`, `},"payload":"`+strings.Repeat("x", 3<<20)+`"}`, 1), "alert", proto.SeverityHigh, "cut-off", false, "longer than"},
		{"longer than the limit before its priority", with(strings.Repeat("x", 3<<20)), "alert", proto.SeverityMedium, "cut-off", false, "longer than"},
		{"BOM", "\ufeff" + with(""), "alert", proto.SeverityHigh, "prefixed", false, ""},
		{"prefix", "@cee: " + with("") + "\r", "alert", proto.SeverityHigh, "prefixed", false, ""},
		{"another record behind a torn one", with("")[:60] + with(""), "alert", proto.SeverityHigh, "cut-off", false, "cut off"},
		{"NUL inside", strings.Replace(with(""), "Evil", "Ev\x00il", 1), "alert", proto.SeverityHigh, "damaged", false, "NUL"},
		{"NULs before", strings.Repeat("\x00", 5000) + with(""), "alert", proto.SeverityHigh, "", true, ""},
		{"empty line before", "\n" + with(""), "alert", proto.SeverityHigh, "", true, ""},
		{"truncated object", with("")[:60], proto.KindUnparsed, proto.SeverityMedium, "", false, "cut off"},
		{"no object", `["alert"]`, proto.KindUnparsed, proto.SeverityMedium, "", false, "not an object"},
		{"two objects", with("") + with(""), "alert", proto.SeverityHigh, "joined", false, "after"},
		{"64-bit integers", strings.Replace(with(""), "{", `{"flow_id":9223372036854775807,`, 1), "alert", proto.SeverityHigh, "", true, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			appendTo(t, path, []byte(test.line+"\n"))
			m, e := f.next()
			if e.Kind != test.kind || e.Severity != test.severity {
				t.Errorf("%s %s, want %s %s", e.Kind, e.Severity, test.kind, test.severity)
			}
			if test.tag != "" && !strings.Contains(strings.Join(e.Tags, " "), test.tag) {
				t.Errorf("tags %q, want %s", e.Tags, test.tag)
			}
			if line := strings.TrimLeft(test.line, "\x00\n"); test.raw && string(e.Raw) != line {
				t.Errorf("raw is not the line")
			}
			if test.reason != "" && (e.Line == nil || !strings.Contains(e.Line.Reason, test.reason) || e.Line.Length == 0) {
				t.Errorf("line %+v, want a reason with %q", e.Line, test.reason)
			}
			if test.line[0] == '{' && e.Kind == "alert" && strings.Contains(test.line, "flow_id") && e.Network.FlowID != "9223372036854775807" {
				t.Errorf("flow id %s", e.Network.FlowID)
			}
			if limit := 64 << 10; len(m.Data) > limit {
				t.Errorf("a record of %d bytes, more than %d", len(m.Data), limit)
			}
		})
	}
}

// TestRotatedWithoutNewline: a detection that a rotated file ends with is told as
// what it is, with its newline or without.
func TestRotatedWithoutNewline(t *testing.T) {
	b := bustest.Start(t)
	f := listen(t, b)
	path := filepath.Join(t.TempDir(), "eve.json")
	start(t, b, shipper.SourceSuricata, path)
	const alert = `{"timestamp":"2026-11-22T07:09:02.262167+0000","event_type":"alert","alert":{"signature":"Evil","signature_id":1,"severity":1}}`
	appendTo(t, path, []byte(`{"event_type":"a"}`+"\n"))
	f.next()
	appendTo(t, path, []byte(alert))
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	appendTo(t, path, []byte(`{"event_type":"b"}`+"\n"))
	if _, e := f.next(); e.Kind != "alert" || e.Severity != proto.SeverityHigh || string(e.Raw) != alert || strings.Join(e.Tags, " ") != normalize.TagUnterminated {
		t.Errorf("got %s", e.AppendJSON(nil))
	}
	if _, e := f.next(); e.Kind != "b" {
		t.Errorf("then %s", e.AppendJSON(nil))
	}
}

// TestSecondShipperIsFencedOff: of two shippers under one name, the one that
// comes second to publish stops with an error that says why.
func TestSecondShipperIsFencedOff(t *testing.T) {
	b := bustest.Start(t)
	f := listen(t, b)
	dir := t.TempDir()
	first, second := filepath.Join(dir, "first.json"), filepath.Join(dir, "second.json")
	a := start(t, b, shipper.SourceSuricata, first)
	appendTo(t, first, []byte(`{"event_type":"a"}`+"\n"))
	f.next()

	// The second goes on from the first's checkpoint, whose file it does not
	// have, and takes the place with the gap event that says so.
	start(t, b, shipper.SourceSuricata, second)
	appendTo(t, second, []byte(`{"event_type":"b"}`+"\n"))
	for {
		if _, e := f.next(); e.Kind == "b" {
			break
		}
	}
	appendTo(t, first, []byte(`{"event_type":"c"}`+"\n"))
	err := a.failure(t)
	if err == nil || !strings.Contains(err.Error(), "another shipper publishes under this name") || !strings.Contains(err.Error(), "stop one of the two") {
		t.Errorf("the first ended with %v", err)
	}
}

// TestNoteServesWhenRetentionHasRemovedEverything removes all that the source has
// published while its shipper is down. With its note, the shipper goes on behind
// it; a note for another stream does not count.
func TestNoteServesWhenRetentionHasRemovedEverything(t *testing.T) {
	const purge = "$JS.API.STREAM.PURGE." + proto.EventsPrefix + bustest.Suricata
	b := bustest.Start(t, bustest.Grant(bus.RoleProvisioner, purge))
	f := listen(t, b)
	dir := t.TempDir()
	path, hint := filepath.Join(dir, "eve.json"), filepath.Join(dir, "hints", "suricata.json")
	first := start(t, b, shipper.SourceSuricata, path, "SHIPPER_HINT="+hint)
	appendTo(t, path, []byte(`{"event_type":"a"}`+"\n"))
	f.next()
	bustest.Eventually(t, "the note is written", func() bool {
		_, err := os.Stat(hint)
		return err == nil
	})
	first.end(t)

	if _, err := b.Raw(t, bus.RoleProvisioner).Request(purge, nil, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	appendTo(t, path, []byte(`{"event_type":"b"}`+"\n"))
	second := start(t, b, shipper.SourceSuricata, path, "SHIPPER_HINT="+hint)
	if _, e := f.next(); e.Kind != "b" {
		t.Errorf("went on with %s, want b", e.Kind)
	}
	second.end(t)

	other := bustest.Start(t)
	f = listen(t, other)
	start(t, other, shipper.SourceSuricata, path, "SHIPPER_HINT="+hint)
	if _, e := f.next(); e.Kind != "a" {
		t.Errorf("began the other stream with %s, want a", e.Kind)
	}
}

// TestOutage takes the server away while lines are written: the shipper says
// what it waits for, and stores every line once the server is back.
func TestOutage(t *testing.T) {
	b := bustest.Start(t)
	path := filepath.Join(t.TempDir(), "eve.json")
	s := start(t, b, shipper.SourceSuricata, path)
	f := listen(t, b)
	appendTo(t, path, []byte(`{"event_type":"before"}`+"\n"))
	f.next()

	b.Stop(t)
	appendTo(t, path, bytes.Repeat([]byte(`{"event_type":"during"}`+"\n"), 100))
	bustest.Eventually(t, "the shipper is not ready without a server", func() bool {
		return s.condition("publish") != "" && s.condition("nats") != ""
	})
	b.Restart(t)

	conn := b.Conn(t, bus.RoleTail)
	bustest.Eventually(t, "101 lines are stored", func() bool {
		n := 0
		for _, err := range conn.History(t.Context(), proto.EventsStream("suricata"), proto.StoredPrefix+".>", bus.Start{}) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		return n == 101
	})
}

// TestMappedSourceAndRules ships another sensor's records by a mapping file, and
// drops some of them by a rule: what is dropped leaves no hole in the order.
func TestMappedSourceAndRules(t *testing.T) {
	b := bustest.Start(t)
	f := listen(t, b)
	dir := t.TempDir()
	path, rules := filepath.Join(dir, "falco.json"), filepath.Join(dir, "rules.yaml")
	if err := os.WriteFile(rules, []byte("rules:\n  - {name: chatter, kinds: [syscall], when: '$.rule.id == \"chatter\"', drop: low}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	// The test bus has roles for two sources; the mapping takes one of their names.
	start(t, b, shipper.SourceTracee, path, "SHIPPER_MAPPING=../../mappings/falco.yaml", "SHIPPER_RULES="+rules)
	const record = `{"time":"2026-11-22T07:09:03.123456789Z","rule":"%s","priority":"%s","source":"syscall","output":"out","output_fields":{"container.id":"d49e6a797072","proc.name":"sh"}}` + "\n"
	for _, r := range [][2]string{{"Terminal shell in container", "Notice"}, {"chatter", "Debug"}, {"Drop and execute new binary in container", "Critical"}} {
		appendTo(t, path, []byte(strings.Replace(strings.Replace(record, "%s", r[0], 1), "%s", r[1], 1)))
	}
	for _, want := range []string{"low Terminal shell in container (sh)", "critical Drop and execute new binary in container (sh)"} {
		if _, e := f.next(); e.Severity.String()+" "+e.Title != want {
			t.Errorf("stored %s %s, want %s", e.Severity, e.Title, want)
		}
	}
}

func TestWaitsForItsFile(t *testing.T) {
	b := bustest.Start(t)
	f := listen(t, b)
	path := filepath.Join(t.TempDir(), "not", "there", "eve.json")
	s := start(t, b, shipper.SourceSuricata, path)
	bustest.Eventually(t, "the shipper says that the file does not exist", func() bool {
		return strings.Contains(s.condition("file"), "does not exist")
	})
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	appendTo(t, path, []byte(`{"event_type":"a"}`+"\n"))
	if _, e := f.next(); e.Kind != "a" {
		t.Errorf("kind %s", e.Kind)
	}
}

func TestUnprovisionedBusIsAnError(t *testing.T) {
	b := bustest.Start(t, bustest.Unprovisioned())
	err := start(t, b, shipper.SourceSuricata, filepath.Join(t.TempDir(), "eve.json")).failure(t)
	if err == nil || !strings.Contains(err.Error(), "secbus provision") {
		t.Errorf("error %v", err)
	}
}
