// Package upgrade starts today's bus on data directories that releases before it
// have left, recorded by record.sh, and demands that everything goes on where it
// stopped. There is a recording of each schema version before today's.
//
//	testdata/schema-1.tar.gz, schema-2.tar.gz
//	  data/           of secbus up, killed in the middle of a delivery; the proxy's
//	                  spool holds requests that no stream has
//	  sensors/        the sensors' files at that moment, each ending with half a line
//	  later/          what the sensors wrote afterwards
//	  telegram.json   the messages that had been accepted by then
package upgrade

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/natsconf"
	"github.com/openclaw-security/bus/services/secbus/cli"
	"github.com/openclaw-security/bus/services/testing/bustest"
	"github.com/openclaw-security/bus/services/testing/childproc"
	"github.com/openclaw-security/bus/services/testing/llmtest"
	"github.com/openclaw-security/bus/services/testing/telegramtest"
)

// What record.sh did.
const (
	host            = "box1"
	chat            = 7001
	recordedAsked   = 3 // requests that the stream holds
	recordedSpooled = 2 // and that only the spool does
	silencedRule    = "9900008"
	canary          = "canary-of-the-recording" // in one request of each sort, which is an alert each time
)

// headers of messages that schema version 1 stored.
const (
	checkpointV1 = "Shipper-Checkpoint"
	instanceV1   = "Shipper-Instance"
)

// rig is an unpacked recording and the commands that are run on it.
type rig struct {
	t        *testing.T
	schema   int // version of the recording
	dir      string
	environ  []string
	telegram *telegramtest.Server
	before   []telegramtest.Message // accepted before; nobody knows this of the last
}

func newRig(t *testing.T, schema int) *rig {
	r := &rig{t: t, schema: schema, dir: t.TempDir()}
	unpack(t, fmt.Sprintf("testdata/schema-%d.tar.gz", schema), r.dir)
	t.Setenv("XDG_CONFIG_HOME", r.path("config")) // for the nats command's context
	t.Setenv("SECBUS_DATA", r.path("data"))
	if err := json.Unmarshal(r.read("telegram.json"), &r.before); err != nil {
		t.Fatal(err)
	}
	r.telegram = telegramtest.New(telegramtest.Config{
		Chats: []telegramtest.Chat{{ID: chat, Type: "private", Title: "Owner"}}, Unlimited: true, LastID: int64(len(r.before)),
	})
	r.environ = []string{
		"OPENCLAW_HOST=" + host, "LOG_FORMAT=json", "ADMIN_ADDR=127.0.0.1:0", "PROXY_ADDR=127.0.0.1:0",
		// The recording is kept for years.
		"SECURITY_MAX_AGE=876000h", "SECURITY_ALERTS_MAX_AGE=876000h", "SECURITY_AUDIT_MAX_AGE=876000h", "SECURITY_DEAD_MAX_AGE=876000h",
		"SENSOR_SILENCE=0s", "DAILY_REPORT_HOUR=", "ALERT_MIN_SEVERITY=low", "ALERT_MAX_PER_MINUTE=60",
		"TELEGRAM_API=" + r.telegram.Start(t), "TELEGRAM_CHAT_ID=" + fmt.Sprint(chat), "TELEGRAM_BOT_TOKEN=" + telegramtest.Token,
		"LLM_API_BASE=" + llmtest.New(llmtest.Config{}).Start(t), "LLM_API_KEY=" + llmtest.Key,
		"PROXY_CANARIES=" + canary, "PROXY_DETECTIONS=canary=observe",
		"SURICATA_EVE_PATH=" + r.path("sensors", "eve.json"), "TRACEE_EVENTS_PATH=" + r.path("sensors", "events.json"),
	}
	return r
}

func (r *rig) path(elements ...string) string {
	return filepath.Join(append([]string{r.dir}, elements...)...)
}

func (r *rig) read(elements ...string) []byte {
	r.t.Helper()
	text, err := os.ReadFile(r.path(elements...))
	if err != nil {
		r.t.Fatal(err)
	}
	return text
}

// write appends to a sensor's file, which it creates if need be.
func (r *rig) write(file string, text []byte) {
	r.t.Helper()
	f, err := os.OpenFile(r.path("sensors", file), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		r.t.Fatal(err)
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Close()); err != nil {
		r.t.Fatal(err)
	}
}

// secbus executes one command line to its end.
func (r *rig) secbus(args ...string) (code int, stdout, stderr string) {
	r.t.Helper()
	out, errs := childproc.NewOutput(r.t, r.dir), childproc.NewOutput(r.t, r.dir)
	code = cli.Run(r.t.Context(), args, cli.Terminal{Stdout: out.File, Stderr: errs.File, Environ: r.environ}, services.All())
	return code, out.String(), errs.String()
}

// up is a running secbus up.
type up struct {
	log   childproc.Output
	conn  *bus.Conn
	proxy string
	end   func()
}

func (r *rig) up() *up {
	r.t.Helper()
	u := &up{log: childproc.NewOutput(r.t, r.dir)}
	ctx, stop := context.WithCancel(r.t.Context())
	ended := make(chan int, 1)
	out := childproc.NewOutput(r.t, r.dir)
	go func() {
		ended <- cli.Run(ctx, []string{"up", "--listen", "127.0.0.1:0"},
			cli.Terminal{Stdout: out.File, Stderr: u.log.File, Environ: r.environ}, services.All())
	}()
	u.end = func() {
		u.conn.Close()
		stop()
		if code := <-ended; code != 0 {
			r.t.Errorf("secbus up ended with %d\n%s", code, u.log)
		}
	}
	proxy := regexp.MustCompile(`LLM proxy: (http://[0-9.:]+)`)
	bustest.Eventually(r.t, "the bus is up", func() bool {
		select {
		case code := <-ended:
			r.t.Fatalf("secbus up ended with %d\n%s", code, u.log)
		default:
		}
		return proxy.MatchString(u.log.String())
	})
	u.proxy = proxy.FindStringSubmatch(u.log.String())[1]
	var endpoint struct{ URL string }
	if err := json.Unmarshal(r.read("data", "endpoint.json"), &endpoint); err != nil {
		r.t.Fatal(err)
	}
	key, err := natsconf.LoadSeed(r.path("data", "keys", "operator.nk"))
	if err != nil {
		r.t.Fatal(err)
	}
	u.conn, err = bus.Connect(ctx, bus.Options{URL: endpoint.URL, Role: bus.RoleOperator, Key: key})
	if err != nil {
		r.t.Fatal(err)
	}
	return u
}

// storedIn returns what the streams that a query finds hold under a filter, those of
// the release before included.
func (r *rig) storedIn(query func(context.Context) ([]string, error), u *up, filter string) []*bus.Stored {
	r.t.Helper()
	streams, err := query(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return r.stored(u, filter, streams...)
}

// stored returns what streams hold under a filter, in the order of time.
func (r *rig) stored(u *up, filter string, streams ...string) []*bus.Stored {
	r.t.Helper()
	var all []*bus.Stored
	for m, err := range u.conn.MergedHistory(r.t.Context(), streams, filter, bus.Start{}) {
		if err != nil {
			r.t.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

// ask makes one request of a model through the proxy.
func (r *rig) ask(u *up, text string) {
	r.t.Helper()
	body := fmt.Sprintf(`{"model":"claude-sonnet-4-5","max_tokens":100,"messages":[{"role":"user","content":%q}]}`, text)
	request, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, u.proxy+"/v1/messages", strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Anthropic-Version", "2023-06-01")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	if answer, err := io.ReadAll(response.Body); err != nil || response.StatusCode != http.StatusOK {
		r.t.Errorf("the proxy's answer is %s %s: %v", response.Status, answer, err)
	}
}

// TestSchemas goes on from what releases of earlier schema versions have left.
func TestSchemas(t *testing.T) {
	for schema := 1; schema < proto.SchemaVersion; schema++ {
		t.Run(fmt.Sprint("schema ", schema), func(t *testing.T) { upgrade(t, schema) })
	}
}

// upgrade goes on from a recording. The sensors have written meanwhile: Suricata's file
// was rotated, Tracee's has grown, and goes on growing.
func upgrade(t *testing.T, schema int) {
	r := newRig(t, schema)
	stored := map[string]int{ // lines that the stream holds: the whole ones
		"suricata": bytes.Count(r.read("sensors", "eve.json"), []byte("\n")),
		"tracee":   bytes.Count(r.read("sensors", "events.json"), []byte("\n")),
	}
	recordedLog := r.read("data", "audit", "log", "00000001.jsonl")

	later := bytes.SplitAfter(r.read("later", "eve.json"), []byte("\n"))
	r.write("eve.json", bytes.Join(later[:8], nil))
	if err := os.Rename(r.path("sensors", "eve.json"), r.path("sensors", "eve.json.1")); err != nil {
		t.Fatal(err)
	}
	r.write("eve.json", bytes.Join(later[8:], nil))
	grows := r.read("later", "events.json")
	r.write("events.json", grows[:len(grows)/2])
	want := map[string][]line{"suricata": append(lines("suricata", r.read("sensors", "eve.json.1")), lines("suricata", r.read("sensors", "eve.json"))...)}

	u := r.up()
	r.write("events.json", grows[len(grows)/2:])
	want["tracee"] = lines("tracee", r.read("sensors", "events.json"))
	r.ask(u, "after the upgrade, "+canary)

	t.Run("provisioning", func(t *testing.T) { r.wantMigrated(t, u) })
	for source := range want {
		t.Run(source, func(t *testing.T) { r.wantLines(t, u, source, want[source], stored[source]) })
	}
	t.Run("audit", func(t *testing.T) { r.wantAudit(t, u, recordedLog) })
	t.Run("deliveries", func(t *testing.T) { r.wantDelivered(t, u) })
	t.Run("missing", func(t *testing.T) { r.wantNothingMissing(t) })
	u.end()
	if log := u.log.String(); strings.Contains(log, `"level":"ERROR"`) {
		t.Errorf("the log has errors:\n%s", log)
	}

	before := len(r.telegram.Messages())
	u = r.up()
	t.Run("again", func(t *testing.T) {
		r.ask(u, "after another start")
		bustest.Eventually(t, "the request is recorded", func() bool {
			return len(r.stored(u, "security.audit.>", proto.StreamAudit)) == 2*(recordedAsked+recordedSpooled+2)
		})
		if strings.Contains(u.log.String(), "migrated") {
			t.Errorf("something is migrated again:\n%s", u.log)
		}
		for source := range want {
			r.wantLines(t, u, source, want[source], stored[source])
		}
		if n := len(r.telegram.Messages()); n != before {
			t.Errorf("the chat gets %d messages more", n-before)
		}
	})
	u.end()
}

// line is one line of a sensor's file.
type line struct {
	source string
	offset int64
	text   []byte
}

func lines(source string, file []byte) (all []line) {
	offset := 0
	for text := range bytes.Lines(file) {
		all = append(all, line{source, int64(offset), bytes.TrimSuffix(text, []byte("\n"))})
		offset += len(text)
	}
	return all
}

// wantMigrated: secbus up says of each stream and durable what it was.
func (r *rig) wantMigrated(t *testing.T, u *up) {
	names := []string{"notifier-telegram-7001-urgent", "notifier-telegram-7001-routine", proto.DurableNotifierStdout, proto.DurableAuditor}
	for _, s := range append(proto.RetiredStreams(), proto.Streams()...) {
		if s.Name != proto.StreamCheckpoints && s.Name != proto.StreamRequests { // which are new
			names = append(names, s.Name)
		}
	}
	log := u.log.String()
	for _, name := range names {
		if !regexp.MustCompile(fmt.Sprintf(`"migrated"[^\n]*"name":"%s"[^\n]*openclaw_schema_version: %d → %d`, name, r.schema, proto.SchemaVersion)).MatchString(log) {
			t.Errorf("%s is not migrated", name)
		}
	}
	if t.Failed() {
		t.Log(log)
	}
}

// wantLines: each line of the sensor's files is stored once, in order within each
// stream, under the id that it always has. The first are as the release before stored
// them; the rest have the headers of today.
func (r *rig) wantLines(t *testing.T, u *up, source string, want []line, old int) {
	filter := proto.SourceFilter(host, source)
	var got []*bus.Stored
	bustest.Eventually(t, "all lines are stored", func() bool {
		got = slices.DeleteFunc(r.storedIn(u.conn.SecurityStreams, u, filter), func(m *bus.Stored) bool {
			return strings.Contains(m.Subject, "."+proto.KindSensor+".")
		})
		return len(got) >= len(want)
	})
	if len(got) != len(want) {
		t.Fatalf("%d messages are stored, want %d", len(got), len(want))
	}
	place := make(map[*bus.Stored]int) // of the line in the files
	reached := make(map[string]int)
	for i, m := range got {
		place[m] = placeOf(t, source, want, m)
		if place[m] < reached[m.Stream] {
			t.Errorf("message %d, of line %d, is in %s behind line %d", i+1, place[m], m.Stream, reached[m.Stream])
		}
		reached[m.Stream] = place[m]
	}
	slices.SortFunc(got, func(a, b *bus.Stored) int { return place[a] - place[b] })
	var alerts []string
	generation := ""
	for i, m := range got {
		var e proto.Event
		if err := json.Unmarshal(m.Data, &e); err != nil {
			t.Fatal(err)
		}
		if e.Origin == nil || e.Origin.Offset != want[i].offset {
			t.Fatalf("message %d is of %+v, want offset %d", i+1, e.Origin, want[i].offset)
		}
		if same := e.Origin.Generation == generation; same != (want[i].offset > 0) {
			t.Errorf("message %d is of generation %s, the one before of %s", i+1, e.Origin.Generation, generation)
		}
		generation = e.Origin.Generation
		id := proto.EventID(host, source, e.Origin.Generation, want[i].offset, want[i].text)
		if e.ID != id || m.Header.Get(proto.HeaderEventID) != id {
			t.Errorf("message %d has the id %s, want %s", i+1, e.ID, id)
		}
		r.wantHeaders(t, m, i < old)
		if (m.Stream == proto.StreamSecurity) != (i < old) {
			t.Errorf("message %d is in %s", i+1, m.Stream)
		}
		if strings.HasPrefix(m.Subject, "security.alert.") {
			alerts = append(alerts, id)
		}
	}
	var found []string
	bustest.Eventually(t, "all alerts are in streams of alerts", func() bool {
		found = nil
		for _, m := range r.storedIn(u.conn.AlertStreams, u, filter) {
			if !strings.Contains(m.Subject, "."+proto.KindSensor+".") {
				found = append(found, m.Header.Get(proto.HeaderEventID))
			}
		}
		return len(found) >= len(alerts)
	})
	slices.Sort(found)
	slices.Sort(alerts)
	if !slices.Equal(found, alerts) {
		t.Errorf("alerts %v, want %v", found, alerts)
	}
}

// placeOf is the place among lines of the one that a message is of.
func placeOf(t *testing.T, source string, lines []line, m *bus.Stored) int {
	t.Helper()
	var e proto.Event
	if err := json.Unmarshal(m.Data, &e); err != nil {
		t.Fatal(err)
	}
	for i, l := range lines {
		if e.Origin != nil && e.ID == proto.EventID(host, source, e.Origin.Generation, l.offset, l.text) {
			return i
		}
	}
	t.Fatalf("message %d of %s is of no line: %s", m.Sequence, m.Stream, m.Data)
	return 0
}

// wantHeaders: a message was stored by the release before, or by today's.
func (r *rig) wantHeaders(t *testing.T, m *bus.Stored, old bool) {
	t.Helper()
	names := []string{proto.HeaderCheckpoint, proto.HeaderInstance, checkpointV1, instanceV1}
	for i, name := range names {
		if has := m.Header.Get(name) != ""; has != ((old && r.schema == 1) == (i >= 2)) {
			t.Errorf("message %d of %s has %s: %t", m.Sequence, m.Subject, name, has)
		}
	}
}

// wantAudit: each request has its two records once, first those that the stream
// had, then what waited in the spool, then the new ones; so have the proxy's
// alerts; and the log goes on behind what it held.
func (r *rig) wantAudit(t *testing.T, u *up, recordedLog []byte) {
	const requests = recordedAsked + recordedSpooled + 1
	filter := proto.SourceFilter(host, bus.RoleProxy)
	var got []*bus.Stored
	bustest.Eventually(t, "all requests are recorded", func() bool {
		got = r.stored(u, filter, proto.StreamAudit)
		return len(got) >= 2*requests
	})
	var asked []string
	phases := make(map[string][]string)
	for i, m := range got {
		var a proto.Audit
		if err := json.Unmarshal(m.Data, &a); err != nil {
			t.Fatal(err)
		}
		r.wantHeaders(t, m, i < 2*recordedAsked)
		if a.Phase == proto.PhaseStart {
			asked = append(asked, a.RequestID)
		}
		phases[a.RequestID] = append(phases[a.RequestID], string(a.Phase))
	}
	for id, p := range phases {
		if !slices.Equal(p, []string{string(proto.PhaseStart), string(proto.PhaseEnd)}) {
			t.Errorf("request %s has the records %v", id, p)
		}
	}
	if len(asked) != requests {
		t.Errorf("%d requests are recorded, want %d", len(asked), requests)
	}
	var alerts []*bus.Stored
	bustest.Eventually(t, "the proxy's alerts are stored", func() bool {
		alerts = r.storedIn(u.conn.SecurityStreams, u, filter)
		return len(alerts) >= 3
	})
	ids := make(map[string]bool)
	for i, m := range alerts {
		r.wantHeaders(t, m, i == 0)
		ids[m.Header.Get(proto.HeaderEventID)] = true
	}
	if len(alerts) != 3 || len(ids) != 3 {
		t.Errorf("the proxy has %d alerts of %d ids, want 3", len(alerts), len(ids))
	}
	var listed string
	bustest.Eventually(t, "the audit log has all requests", func() bool {
		_, listed, _ = r.secbus("audit", "list", "--since", "2026-01-01T00:00:00Z", "--json")
		return strings.Count(listed, "\n") >= requests
	})
	for _, id := range asked {
		if strings.Count(listed, id) != 1 {
			t.Errorf("request %s is %d times in\n%s", id, strings.Count(listed, id), listed)
		}
	}
	if code, out, errs := r.secbus("audit", "verify"); code != 0 {
		t.Errorf("the audit log does not verify: exit code %d\n%s%s", code, out, errs)
	}
	if log := r.read("data", "audit", "log", "00000001.jsonl"); len(log) <= len(recordedLog) || !bytes.HasPrefix(log, recordedLog) {
		t.Errorf("the audit log of %d bytes does not go on behind the %d that it had", len(log), len(recordedLog))
	}
}

// wantDelivered: each alert is in one message, but for one that is silenced. What
// was on its way to Telegram when the process was killed is sent again, with a mark.
func (r *rig) wantDelivered(t *testing.T, u *up) {
	code, silences, errs := r.secbus("silence", "list")
	if code != 0 || !strings.Contains(silences, silencedRule) || !strings.Contains(silences, "a known download") {
		t.Errorf("silences: exit code %d\n%s%s", code, silences, errs)
	}
	var alerts []*bus.Stored
	for _, m := range r.storedIn(u.conn.AlertStreams, u, "security.>") {
		if !bytes.Contains(m.Data, []byte(`"`+silencedRule+`"`)) {
			alerts = append(alerts, m)
		}
	}
	var deliveries []proto.Delivery
	count := func(m *bus.Stored) (n int) {
		for i := range deliveries {
			if deliveries[i].Covers(m.Stream, m.Sequence) {
				n++
			}
		}
		return n
	}
	bustest.Eventually(t, "all alerts are delivered", func() bool {
		deliveries = nil
		for _, m := range r.stored(u, "deliveries.>", proto.StreamDeliveries) {
			var d proto.Delivery
			if err := json.Unmarshal(m.Data, &d); err != nil {
				t.Fatal(err)
			}
			deliveries = append(deliveries, d)
		}
		return !slices.ContainsFunc(alerts, func(m *bus.Stored) bool { return count(m) == 0 })
	})
	covered := 0
	for _, m := range alerts {
		if n := count(m); n != 1 {
			t.Errorf("alert %d of %s is in %d messages", m.Sequence, m.Stream, n)
		}
		covered++
	}
	for _, d := range deliveries {
		for _, span := range d.Ranges {
			covered -= int(span.Last - span.First + 1)
		}
	}
	if covered != 0 {
		t.Errorf("%d alerts too many are delivered", -covered)
	}

	now := r.telegram.Messages()
	recorded := make(map[string]bool)
	for _, d := range deliveries {
		recorded[d.MessageID] = true
	}
	if len(now)+len(r.before)-1 != len(recorded) {
		t.Errorf("%d messages were accepted, and %d now; there are records of %d", len(r.before), len(now), len(recorded))
	}
	repeated := slices.DeleteFunc(slices.Clone(deliveries), func(d proto.Delivery) bool { return !d.MayRepeat })
	if len(repeated) != 1 || repeated[0].Attempts != 2 {
		t.Errorf("deliveries that may be repetitions: %+v", repeated)
	}
	last, _, _ := strings.Cut(r.before[len(r.before)-1].Text, "\n")
	again := slices.DeleteFunc(slices.Clone(now), func(m telegramtest.Message) bool { return !strings.Contains(m.Text, last) })
	if len(again) != 1 || !strings.HasPrefix(again[0].Text, "(may repeat)\n") {
		t.Errorf("%q is sent again as %+v", last, again)
	}
}

// wantNothingMissing asks the commands that look for what is missing. A durable
// whose messages are being worked on can look as if nobody fetched from it.
func (r *rig) wantNothingMissing(t *testing.T) {
	for _, command := range []string{"status", "doctor"} {
		var out, errs string
		bustest.Eventually(t, command+" misses nothing", func() bool {
			var code int
			code, out, errs = r.secbus(command)
			return code == 0
		})
		if errs != "" {
			t.Errorf("%s: %s%s", command, out, errs)
		}
	}
}

func unpack(t *testing.T, archive, dir string) {
	t.Helper()
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for files := tar.NewReader(unzipped); ; {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, filepath.FromSlash(h.Name))
		if h.FileInfo().IsDir() {
			err = os.MkdirAll(path, 0o700)
		} else {
			var text []byte
			if text, err = io.ReadAll(files); err == nil {
				err = os.WriteFile(path, text, h.FileInfo().Mode().Perm())
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
