package selection_test

import (
	"strings"
	"testing"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/selection"
)

var at = time.Date(2026, 11, 22, 7, 9, 3, 0, time.UTC)

func TestMatch(t *testing.T) {
	tests := []struct {
		name string
		s    selection.Selection
		want bool
	}{
		{"everything", selection.Selection{}, true},
		{"the severity", selection.Selection{Severity: proto.SeverityHigh}, true},
		{"a higher severity", selection.Selection{Severity: proto.SeverityCritical}, false},
		{"names as they were before they were tokens", selection.Selection{Source: "Suricata", Kind: "A lert", Host: "Box 1"}, true},
		{"another source", selection.Selection{Source: "tracee"}, false},
		{"another kind", selection.Selection{Kind: "dns"}, false},
		{"another host", selection.Selection{Host: "box2"}, false},
		{"from then", selection.Selection{From: at, To: at}, true},
		{"later", selection.Selection{From: at.Add(1)}, false},
		{"earlier", selection.Selection{To: at.Add(-1)}, false},
		{"a matcher", selection.Selection{Matcher: `$.title == "x"`}, true},
		{"another matcher", selection.Selection{Matcher: `$.title == "y"`}, false},
		{"a matcher that fails", selection.Selection{Matcher: `$.title < 5`}, false},
	}
	m := &bus.Stored{Subject: "security.alert.box-1.suricata.a-lert.high", Time: at, Data: []byte(`{"title":"x"}`)}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			x, err := tt.s.Compile()
			if err != nil {
				t.Fatal(err)
			}
			if got := x.Match(m); got != tt.want {
				t.Errorf("got %t", got)
			}
			if x.Match(&bus.Stored{Subject: "dead.security_alerts.notifier-stdout", Time: at}) {
				t.Error("what is not an event is selected")
			}
		})
	}
}

// A kind that the source may not publish under is in the payload alone.
func TestMatchByOtherKind(t *testing.T) {
	m := &bus.Stored{Subject: "security.event.box1.sshd.other.info", Time: at, Data: []byte(`{"title":"x","kind":"Key Exchange"}`)}
	for name, tt := range map[string]struct {
		s    selection.Selection
		want bool
	}{
		"its own":       {selection.Selection{Kind: "key-exchange"}, true},
		"another":       {selection.Selection{Kind: "login"}, false},
		"other":         {selection.Selection{Kind: "other"}, true},
		"and a matcher": {selection.Selection{Kind: "Key Exchange", Matcher: `$.title == "y"`}, false},
	} {
		x, err := tt.s.Compile()
		if err != nil {
			t.Fatal(err)
		}
		if got := x.Match(m); got != tt.want {
			t.Errorf("%s: got %t", name, got)
		}
	}
}

func TestUnreadableEventsMatchNoMatcher(t *testing.T) {
	broken := &bus.Stored{Subject: "security.alert.box1.suricata.alert.high", Data: []byte("{broken")}
	for matcher, want := range map[string]bool{"": true, "true": false} {
		x, err := selection.Selection{Matcher: matcher}.Compile()
		if err != nil {
			t.Fatal(err)
		}
		if got := x.Match(broken); got != want {
			t.Errorf("%q: got %t", matcher, got)
		}
	}
}

func TestPast(t *testing.T) {
	x, err := selection.Selection{To: at}.Compile()
	if err != nil {
		t.Fatal(err)
	}
	if x.Past(&bus.Stored{Time: at}) || !x.Past(&bus.Stored{Time: at.Add(1)}) {
		t.Error("the end of the range is not where it was said to be")
	}
	if endless, err := (selection.Selection{}).Compile(); err != nil || endless.Past(&bus.Stored{Time: at}) {
		t.Errorf("a range without an end has one, %v", err)
	}
}

func TestCompileSaysAllThatIsWrong(t *testing.T) {
	_, err := selection.Selection{From: at, To: at.Add(-1), Matcher: "$.x =="}.Compile()
	if err == nil || !strings.Contains(err.Error(), "ends before it begins") || !strings.Contains(err.Error(), "the matcher") {
		t.Errorf("got %v", err)
	}
}

func TestMoment(t *testing.T) {
	for text, ago := range map[string]time.Duration{"15m": 15 * time.Minute, "2h": 2 * time.Hour, "1.5d": 36 * time.Hour, "0s": 0} {
		var m selection.Moment
		before := time.Now()
		err := m.UnmarshalText([]byte(text))
		if err != nil || m.Before(before.Add(-ago)) || m.After(time.Now().Add(-ago)) {
			t.Errorf("%s: %v, %v", text, m, err)
		}
	}
	var m selection.Moment
	if err := m.UnmarshalText([]byte("2026-11-22T07:09:03Z")); err != nil || !m.Equal(at) {
		t.Errorf("%v, %v", m, err)
	}
	for _, text := range []string{"", "soon", "-5m", "d", "-1d"} {
		if err := m.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}
