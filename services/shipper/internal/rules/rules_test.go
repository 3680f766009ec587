package rules_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/shipper/internal/rules"
)

func parse(t testing.TB, text string) *rules.Engine {
	t.Helper()
	g, err := rules.Parse("rules.yaml", []byte(text), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// event is a medium alert, an event of what rules can look at.
func event() *proto.Event {
	e := &proto.Event{
		Kind: "alert", Source: "suricata", Title: "ET SCAN something", Tags: []string{"clipped"},
		Dst: &proto.Endpoint{IP: "192.0.2.7", Port: 22},
		Raw: []byte(`{"alert":{"signature_id":9007199254740993},"src_ip":"x"}`),
	}
	e.SetSeverity(proto.SeverityMedium)
	return e
}

// one is a file with one rule, whose name and kinds are given.
func one(lines ...string) string {
	return "rules:\n  - name: r\n    kinds: [alert]\n    " + strings.Join(lines, "\n    ") + "\n"
}

func TestApply(t *testing.T) {
	for _, test := range []struct {
		name, rules string
		want        string // severity, class, title, tags
		applied     []string
		drop        bool
	}{
		{
			name: "raise", rules: one("raise: critical"),
			want: "critical alert ET SCAN something [clipped rule:r]", applied: []string{"r"},
		},
		{
			name: "raise never lowers", rules: one("raise: low"),
			want: "medium alert ET SCAN something [clipped rule:r]", applied: []string{"r"},
		},
		{
			name: "lower into telemetry", rules: one("lower: info"),
			want: "info event ET SCAN something [clipped rule:r]", applied: []string{"r"},
		},
		{
			name: "lower never raises", rules: one("lower: high"),
			want: "medium alert ET SCAN something [clipped rule:r]", applied: []string{"r"},
		},
		{
			name: "title and tags", rules: one(`title: "Known: {title} ({title})"`, "tags: [a, clipped, b]"),
			want: "medium alert Known: ET SCAN something (ET SCAN something) [clipped rule:r a b]", applied: []string{"r"},
		},
		{
			name: "condition holds", rules: one("when: $.dst.port == 22", "raise: high"),
			want: "high alert ET SCAN something [clipped rule:r]", applied: []string{"r"},
		},
		{name: "condition does not hold", rules: one("when: $.dst.port == 23", "raise: high")},
		{name: "missing field", rules: one("when: $.process.pid > 0", "raise: high")},
		{
			name: "the sensor's own record", rules: one("when: $.raw.alert.signature_id == 9007199254740993", "raise: high"),
			want: "high alert ET SCAN something [clipped rule:r]", applied: []string{"r"},
		},
		{name: "exact to the last digit", rules: one("when: $.raw.alert.signature_id == 9007199254740992", "raise: high")},
		{name: "condition cannot be evaluated", rules: one("when: $.title && true", "raise: high")},
		{name: "another source", rules: one("source: tracee", "raise: high")},
		{
			name: "this source", rules: one("source: suricata", "raise: high"),
			want: "high alert ET SCAN something [clipped rule:r]", applied: []string{"r"},
		},
		{
			name: "kinds are whole words", rules: "rules:\n- name: r\n  kinds: [alerts, aler, Alert]\n  raise: high\n",
		},
		{
			name: "all see the sensor's event, the later wins",
			rules: one("when: $.severity == `medium`", "raise: high", "title: first") +
				"  - {name: s, kinds: [alert], when: $.severity == `medium`, lower: low, title: 'second: {title}'}\n",
			want: "low alert second: ET SCAN something [clipped rule:r rule:s]", applied: []string{"r", "s"},
		},
		{
			name: "kind named twice", rules: "rules:\n- {name: r, kinds: [alert, alert], raise: high}\n",
			want: "high alert ET SCAN something [clipped rule:r]", applied: []string{"r"},
		},
		{
			name: "drop up to a severity", rules: one("drop: medium"),
			want: "medium alert ET SCAN something [clipped rule:r]", applied: []string{"r"}, drop: true,
		},
		{
			name: "too severe to drop", rules: one("drop: low"),
			want: "medium alert ET SCAN something [clipped rule:r]", applied: []string{"r"},
		},
		{
			name: "lowering does not open the way to dropping", rules: one("lower: info", "drop: low"),
			want: "info event ET SCAN something [clipped rule:r]", applied: []string{"r"},
		},
		{
			name: "raising closes it", rules: one("drop: medium") + "  - {name: s, kinds: [alert], raise: high}\n",
			want: "high alert ET SCAN something [clipped rule:r rule:s]", applied: []string{"r", "s"},
		},
		{name: "no rules", rules: "rules: []\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.want == "" {
				test.want = "medium alert ET SCAN something [clipped]"
			}
			e := event()
			drop, applied := parse(t, test.rules).Apply(e)
			got := fmt.Sprintf("%s %s %s %s", e.Severity, e.Subject().Class, e.Title, e.Tags)
			if got != test.want || drop != test.drop || !slices.Equal(applied, test.applied) {
				t.Errorf("got  %s, drop %v, applied %q\nwant %s, drop %v, applied %q", got, drop, applied, test.want, test.drop, test.applied)
			}
			if e.SeverityID != e.Severity.ID() {
				t.Errorf("severity_id is %d for %s", e.SeverityID, e.Severity)
			}
		})
	}
}

func TestLongTitleIsCut(t *testing.T) {
	e := event()
	e.Title = strings.Repeat("ä", 195)
	parse(t, one(`title: "More: {title}"`)).Apply(e)
	if want := "More: " + strings.Repeat("ä", 193) + "…"; e.Title != want {
		t.Errorf("title %q", e.Title)
	}
}

// A title may hold the placeholder itself.
func TestPlaceholderInTheSensorsTitle(t *testing.T) {
	e := event()
	e.Title = "x {title}"
	parse(t, one(`title: "[{title}]"`)).Apply(e)
	if e.Title != "[x {title}]" {
		t.Errorf("title %q", e.Title)
	}
}

// A record that is not in order must not switch off a rule that looks at it.
func TestRawWithDuplicateKeys(t *testing.T) {
	e := event()
	e.Raw = []byte(`{"alert":{"signature_id":7},"x":1,"x":"\ud800"}`)
	if _, applied := parse(t, one("when: $.raw.alert.signature_id == 7", "raise: high")).Apply(e); len(applied) != 1 {
		t.Error("the rule did not match")
	}
}

func TestFailuresAreCountedAndLoggedOnce(t *testing.T) {
	var log bytes.Buffer
	g, err := rules.Parse("rules.yaml", []byte(one("when: $.title && true", "raise: high")), slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		g.Apply(event())
	}
	if g.Failed() != 3 {
		t.Errorf("%d failures counted, want 3", g.Failed())
	}
	if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), "rule=r") {
		t.Errorf("logged %d lines: %s", n, &log)
	}
}

func TestFaults(t *testing.T) {
	for _, test := range []struct {
		name, rules string
		want        []string
	}{
		{"all at once", `rules:
  - name: Bad Name
    kinds: [dns]
    whn: true
    when: $.proces.name == "x"
    raise: hight
  - name: ok
    kinds: [dns]
    raise: high
  - name: ok
    kinds: [dns]
    when: |
      $.dns.names[0] =~ "x"
      && kind == "dns"
    drop: critical
`, []string{
			`rules.yaml:2:11: rules[0].name: "Bad Name" is not 1 to 63 characters of a-z, 0-9, - and _`,
			`rules.yaml:4:5: rules[0].whn: unknown key "whn"`,
			`rules.yaml:5:11: rules[0].when: no event has a field $.proces`,
			`rules.yaml:6:12: rules[0].raise: severity "hight" is none of info, low, medium, high, critical`,
			`rules.yaml:10:11: rules[2].name: an earlier rule is called ok too`,
			`rules.yaml:12:11: rules[2].when: unknown name kind (a field is written $.kind, a text in quotes) at line 2, character 4 of the expression`,
			`rules.yaml:15:11: rules[2].drop: a critical event cannot be dropped`,
		}},
		{"no rule says what is missing", "rules:\n  - when: true\n", []string{
			`rules.yaml:2:5: rules[0]: has no name`,
			`rules.yaml:2:5: rules[0]: names no kinds: it is evaluated only for events of the kinds that it names`,
			`rules.yaml:2:5: rules[0]: does nothing: it needs raise, lower, title, tags or drop`,
		}},
		{"both ways", one("raise: high", "lower: low"), []string{`rules.yaml:2:5: rules[0]: both raises and lowers`}},
		{"what the shipper accounts for", "rules:\n- {name: r, kinds: [gap], drop: high}\n", []string{
			`rules.yaml:2:4: rules[0]: drops gap, unparsed, sensor or flood events, in which the shipper accounts for what it could not read, the sensor could not see, or it made events`,
		}},
		{"title of several lines", one("title: \"a\\nb\""), []string{`rules.yaml:4:12: rules[0].title: must be a line of printable characters`}},
		{"title too long", one("title: " + strings.Repeat("x", 201)), []string{`rules.yaml:4:12: rules[0].title: is longer than 200 characters`}},
		{"tag that looks like a rule's", one("tags: ['rule:x']"), []string{
			`rules.yaml:4:12: rules[0].tags[0]: "rule:x" is not 1 to 63 characters of a-z, 0-9 and _.:- without rule: in front`,
		}},
		{"path without a field", one("when: $ == null", "raise: low"), []string{`rules.yaml:4:11: rules[0].when: $ must be followed by a field's name`}},
		{"field of a list", one("when: $.mitre.id == null", "raise: low"), []string{
			`rules.yaml:4:11: rules[0].when: $.mitre is a list: write $.mitre[0].id, or $.mitre[*].id for all`,
		}},
		{"index of a text", one("when: $.title[0] == null", "raise: low"), []string{`rules.yaml:4:11: rules[0].when: $.title is not a list`}},
		{"field of a text", one("when: $.title.x == null", "raise: low"), []string{`rules.yaml:4:11: rules[0].when: no event has a field $.title.x`}},
		{"nested field", one("when: $.mitre[0].idd == null", "raise: low"), []string{`rules.yaml:4:11: rules[0].when: no event has a field $.mitre[…].idd`}},
		{"rules are no list", "rules: {}\n", []string{`rules.yaml:1:8: rules: must be a list, not a mapping`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := rules.Parse("rules.yaml", []byte(test.rules), slog.New(slog.DiscardHandler))
			if err == nil {
				t.Fatal("no fault found")
			}
			_, list, _ := strings.Cut(err.Error(), "\n")
			if got := strings.ReplaceAll(list, "  rules.yaml", "rules.yaml"); got != strings.Join(test.want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", got, strings.Join(test.want, "\n"))
			}
		})
	}
}

func TestLoadOfMissingFile(t *testing.T) {
	if _, err := rules.Load(t.TempDir()+"/none.yaml", slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "reading rules") {
		t.Errorf("got %v", err)
	}
}

// An event of a kind that no rule names is not even looked at.
func TestOtherKindsCostNothing(t *testing.T) {
	g := parse(t, one("when: $.title && true", "raise: high"))
	e := event()
	e.Kind = "flow"
	if n := testing.AllocsPerRun(100, func() { g.Apply(e) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if g.Failed() != 0 {
		t.Error("the condition was evaluated")
	}
}

func BenchmarkApply(b *testing.B) {
	for _, bench := range []struct{ name, kind, rules string }{
		{"unnamed", "flow", one("raise: high")},
		{"no match", "alert", one("when: $.dst.port == 23", "raise: high")},
		{"match", "alert", one("when: $.dst.port == 22", "raise: high")},
		{"raw", "alert", one("when: $.raw.alert.signature_id == 1", "raise: high")},
	} {
		b.Run(bench.name, func(b *testing.B) {
			g := parse(b, bench.rules)
			e := event()
			e.Kind = bench.kind
			b.ReportAllocs()
			for b.Loop() {
				g.Apply(e)
			}
		})
	}
}
