package render

import (
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/openclaw-security/bus/proto"
)

func attack() *proto.Event {
	e := &proto.Event{
		ID:     "0c7d5a1e0c7d5a1e0c7d5a1e0c7d5a1e",
		Time:   time.Date(2026, 11, 22, 7, 9, 3, 0, time.UTC),
		Host:   "lab",
		Source: "suricata",
		Kind:   "alert",
		Title:  "Cloud metadata service reached",
		Action: "allowed",
		Rule:   &proto.Rule{ID: "9900001", Category: "Attempted User Privilege Gain"},
		MITRE:  []proto.Technique{{ID: "T1552.005", Name: "Cloud Instance Metadata API"}},
		Src:    &proto.Endpoint{IP: "172.17.0.2", Port: 44886},
		Dst:    &proto.Endpoint{IP: "2001:db8::1", Port: 80},
		HTTP:   &proto.HTTP{Method: "GET", Hostname: "169.254.169.254", Path: "/latest/meta-data/iam"},
	}
	e.SetSeverity(proto.SeverityCritical)
	return e
}

func TestLine(t *testing.T) {
	got := Style{}.Line(attack())
	want := "07:09:03 CRITICAL suricata  Cloud metadata service reached  172.17.0.2:44886 → [2001:db8::1]:80  rule 9900001"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestCard(t *testing.T) {
	got := Style{Zone: time.FixedZone("CET", 3600)}.Card(attack())
	want := strings.Join([]string{
		"CRITICAL  Cloud metadata service reached",
		"          2026-11-22 08:09:03 CET · suricata alert on lab · rule 9900001 (Attempted User Privilege Gain) · allowed",
		"          172.17.0.2:44886 → [2001:db8::1]:80 · GET 169.254.169.254/latest/meta-data/iam",
		"          MITRE ATT&CK T1552.005 Cloud Instance Metadata API",
		"          id 0c7d5a1e0c7d5a1e0c7d5a1e0c7d5a1e",
	}, "\n")
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestCardOfProcess(t *testing.T) {
	e := &proto.Event{
		ID: "ff", Host: "lab", Source: "tracee", Kind: "dropped_executable", Title: "New executable dropped",
		Process:   &proto.Process{Name: "sh", PID: 42, Args: []string{"sh", "-c", "id"}},
		Container: &proto.Container{ID: "d49e6a7970728341312fd563"},
	}
	if got, want := (Style{}).Card(e), "sh[42] · sh -c id · container d49e6a797072…"; !strings.Contains(got, want) {
		t.Errorf("card lacks %q:\n%s", want, got)
	}
}

func TestColorOnlyWhenAsked(t *testing.T) {
	if s := (Style{}).Line(attack()) + (Style{}).Card(attack()); strings.Contains(s, "\x1b") {
		t.Errorf("escape sequence without colour: %q", s)
	}
	if s := (Style{Color: true}).Line(attack()); !strings.Contains(s, "\x1b[1;97;41mCRITICAL\x1b[0m") {
		t.Errorf("no colour: %q", s)
	}
}

func TestForeignTextCannotForgeALine(t *testing.T) {
	for name, hostile := range map[string]string{
		"newline":         "real\n07:09:04 INFO  suricata  all is well",
		"carriage return": "real\rCRITICAL",
		"escape":          "\x1b[2J\x1b]0;owned\a",
		"c1 csi":          "\u009b2J",
		"bidi override":   "safe\u202egnp.exe",
		"zero width":      "a\u200bb\ufeffc",
		"line separator":  "one\u2028two",
		"invalid utf-8":   "a\xff\xfeb",
	} {
		t.Run(name, func(t *testing.T) {
			e := attack()
			e.ID, e.Title, e.Source, e.Rule.ID, e.HTTP.Path = hostile, hostile, hostile, hostile, hostile
			e.Process = &proto.Process{Name: hostile, Args: []string{hostile}}
			line, card := Style{}.Line(e), Style{}.Card(e)
			if n := strings.Count(card, "\n"); n != 5 {
				t.Errorf("card has %d line breaks, want 5:\n%s", n, card)
			}
			for _, r := range line + strings.ReplaceAll(card, "\n", "") {
				if !unicode.IsPrint(r) {
					t.Fatalf("unprintable %U in %q", r, line+card)
				}
			}
		})
	}
}

func TestCleanCuts(t *testing.T) {
	if got, want := Clean(strings.Repeat("ä", 10), 4), "ääää…"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := Clean("ääää", 4); got != "ääää" {
		t.Errorf("got %q", got)
	}
}

func TestEscape(t *testing.T) {
	for text, want := range map[string]string{
		"{\"a\":\"ä → 漢\"}\n": "{\"a\":\"ä → 漢\"}\n",
		"\x1b[2J\a\r\t\x7f":   "\\u001b[2J\\u0007\\u000d\\u0009\\u007f",
		"\u009b2J\u0085":      "\\u009b2J\\u0085",
		"\u202e\u200b\u2028":  "\\u202e\\u200b\\u2028",
		"\U000e0001":          "\\udb40\\udc01",
		"a\xff\x9bb":          "a\ufffd\ufffdb",
	} {
		if got := Escape(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}
