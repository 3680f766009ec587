package proto_test

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/proto"
)

// record is what the two sorts of message have in common.
type record struct {
	subject    proto.Subject
	id         string
	severityID int
	encoded    []byte
}

func readExample(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("examples", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// decode reads an example into v and refuses what v does not know.
func decode(t *testing.T, example []byte, v any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(example))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		t.Fatal(err)
	}
	if d.More() {
		t.Fatal("more than one JSON value")
	}
}

func decodeEvent(t *testing.T, example []byte) (*proto.Event, record) {
	t.Helper()
	var e proto.Event
	decode(t, example, &e)
	return &e, record{e.Subject(), e.ID, e.SeverityID, e.AppendJSON(nil)}
}

func decodeAudit(t *testing.T, example []byte) (*proto.Audit, record) {
	t.Helper()
	var a proto.Audit
	decode(t, example, &a)
	b, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	return &a, record{a.Subject(), a.ID, a.SeverityID, b}
}

func TestExamples(t *testing.T) {
	t.Parallel()
	subjects := map[string]string{
		"audit-end.json":              "security.audit.box1.proxy.request.high",
		"audit-start.json":            "security.audit.box1.proxy.request.info",
		"gap.json":                    "security.alert.box1.tracee.gap.medium",
		"suricata-alert.json":         "security.alert.box1.suricata.alert.high",
		"suricata-dns.json":           "security.event.box1.suricata.dns.info",
		"suricata-http-redacted.json": "security.event.box1.suricata.http.info",
		"tracee-signature.json":       "security.alert.box1.tracee.stdio_over_socket.high",
		"unparsed.json":               "security.alert.box1.suricata.unparsed.medium",
	}
	files, err := filepath.Glob("examples/*.json")
	if err != nil {
		t.Fatal(err)
	}
	if want := len(subjects) + 1; len(files) != want { // delivery.json is no record of the six-token subjects
		t.Errorf("there are %d examples, want %d", len(files), want)
	}
	for name, subject := range subjects {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			example := readExample(t, name)
			var r record
			schema := "event.schema.json"
			if strings.HasPrefix(name, "audit-") {
				schema = "audit.schema.json"
				_, r = decodeAudit(t, example)
			} else {
				_, r = decodeEvent(t, example)
			}
			if got := string(r.encoded) + "\n"; got != string(example) {
				t.Errorf("encoded again:\n%swant\n%s", got, example)
			}
			if got := r.subject.Stored(); got != subject {
				t.Errorf("subject %q, want %q", got, subject)
			}
			if r.severityID != r.subject.Severity.ID() {
				t.Errorf("severity_id %d does not belong to %s", r.severityID, r.subject.Severity)
			}
			if len(r.id) != proto.EventIDLength {
				t.Errorf("id %q is not of %d characters", r.id, proto.EventIDLength)
			}
			if err := readSchema(t, schema).check(decodeAny(t, example)); err != nil {
				t.Errorf("not valid by %s: %v", schema, err)
			}
			checkInvented(t, example)
		})
	}
}

func TestDeliveryExample(t *testing.T) {
	t.Parallel()
	example := readExample(t, "delivery.json")
	var d proto.Delivery
	decode(t, example, &d)
	encoded, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(encoded) + "\n"; got != string(example) {
		t.Errorf("encoded again:\n%swant\n%s", got, example)
	}
	if err := readSchema(t, "delivery.schema.json").check(decodeAny(t, example)); err != nil {
		t.Errorf("not valid: %v", err)
	}
	alerts := 0
	for _, r := range d.Ranges {
		alerts += int(r.Last - r.First + 1)
	}
	c := d.Severities
	if sum := c.Critical + c.High + c.Medium + c.Low; alerts != d.Alerts || sum != d.Alerts {
		t.Errorf("%d alerts, %d by range, %d by severity", d.Alerts, alerts, sum)
	}
	type place struct {
		stream   string
		sequence uint64
	}
	for at, want := range map[place]bool{
		{"ALERTS_suricata", 18230}: false, {"ALERTS_suricata", 18231}: true, {"ALERTS_suricata", 18443}: true, {"ALERTS_suricata", 18444}: false,
		{"ALERTS_suricata", 18450}: false, {proto.StreamAlerts, 18231}: false,
		// As records were before there were several streams of alerts.
		{proto.StreamAlerts, 18450}: true, {proto.StreamAlerts, 18451}: false,
	} {
		if got := d.Covers(at.stream, at.sequence); got != want {
			t.Errorf("Covers(%s, %d) = %t", at.stream, at.sequence, got)
		}
	}
}

// TestExampleIDs: every reader of an event can compute its id again.
func TestExampleIDs(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"suricata-alert.json", "suricata-dns.json", "tracee-signature.json", "unparsed.json"} {
		e, _ := decodeEvent(t, readExample(t, name))
		line := []byte(e.Raw)
		if e.Line != nil {
			line = []byte(e.Line.Text)
		}
		if want := proto.EventID(e.Host, e.Source, e.Origin.Generation, e.Origin.Offset, line); e.ID != want {
			t.Errorf("%s: id %s, want %s", name, e.ID, want)
		}
	}
}

func TestExampleAuditPair(t *testing.T) {
	t.Parallel()
	start, _ := decodeAudit(t, readExample(t, "audit-start.json"))
	end, _ := decodeAudit(t, readExample(t, "audit-end.json"))
	if start.Phase != proto.PhaseStart || end.Phase != proto.PhaseEnd || start.RequestID != end.RequestID || start.ID == end.ID {
		t.Errorf("no pair: %+v, %+v", start, end)
	}
}

var ipv4 = regexp.MustCompile(`"\d+\.\d+\.\d+\.\d+"`)

// checkInvented reports addresses outside the ranges of RFC 5737.
func checkInvented(t *testing.T, example []byte) {
	t.Helper()
	documentation := []netip.Prefix{
		netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.0/24"),
	}
	for _, quoted := range ipv4.FindAll(example, -1) {
		address, err := netip.ParseAddr(string(bytes.Trim(quoted, `"`)))
		if err != nil {
			t.Error(err)
			continue
		}
		invented := false
		for _, p := range documentation {
			invented = invented || p.Contains(address)
		}
		if !invented {
			t.Errorf("%s is a real address", address)
		}
	}
}

func readSchema(t *testing.T, name string) *jsonSchema {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("schema", name))
	if err != nil {
		t.Fatal(err)
	}
	var s jsonSchema
	decode(t, b, &s)
	return &s
}

// decodeAny decodes with numbers kept as they are written.
func decodeAny(t *testing.T, b []byte) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// TestSchemaRefuses shows that the schemas, and the checker that stands in for a
// validator here, can say no.
func TestSchemaRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(event map[string]any)
		want   string
	}{
		{"missing id", func(e map[string]any) { delete(e, "id") }, "lacks id"},
		{"unknown field", func(e map[string]any) { e["sevrity"] = "high" }, "sevrity"},
		{"unknown nested field", func(e map[string]any) { e["src"].(map[string]any)["mac"] = "x" }, "/src: unknown mac"},
		{"null", func(e map[string]any) { e["src"] = nil }, "/src: no object"},
		{"wrong type", func(e map[string]any) { e["title"] = true }, "/title: no string"},
		{"fraction", func(e map[string]any) { e["class_uid"] = json.Number("1.5") }, "/class_uid: no integer"},
		{"unknown severity", func(e map[string]any) { e["severity"] = "severe" }, "/severity: severe"},
		{"no time", func(e map[string]any) { e["time"] = "yesterday" }, "/time"},
		{"wrong type in an array", func(e map[string]any) { e["mitre"] = []any{"T1105"} }, "/mitre/0: no object"},
		{"raw that is no object", func(e map[string]any) { e["raw"] = "text" }, "/raw: no object"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			event := decodeAny(t, readExample(t, "suricata-alert.json")).(map[string]any)
			tt.change(event)
			err := readSchema(t, "event.schema.json").check(event)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("check = %v, want an error with %q", err, tt.want)
			}
		})
	}
}

// TestSchemaOfFilledRecords holds the schema to the types where no example does.
func TestSchemaOfFilledRecords(t *testing.T) {
	t.Parallel()
	b := filledEvent().AppendJSON(nil)
	if err := readSchema(t, "event.schema.json").check(decodeAny(t, b)); err != nil {
		t.Error(err)
	}
	var a proto.Audit
	for n, path := range leaves(reflect.TypeFor[proto.Audit](), nil) {
		fill(leaf(reflect.ValueOf(&a), path), n)
	}
	b, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	if err := readSchema(t, "audit.schema.json").check(decodeAny(t, b)); err != nil {
		t.Error(err)
	}
}
