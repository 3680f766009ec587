package silence_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/silence"
	"github.com/openclaw-security/bus/services/testing/bustest"
)

var now = time.Date(2026, 11, 22, 7, 9, 3, 0, time.UTC)

func payload(severity proto.Severity, title string) []byte {
	e := proto.Event{ID: strings.Repeat("0", 32), Time: now, Host: "box1", Source: "suricata", Kind: "alert", Title: title, Rule: &proto.Rule{ID: "2100498"}}
	e.SetSeverity(severity)
	return e.AppendJSON(nil)
}

func TestMatch(t *testing.T) {
	tests := []struct {
		name     string
		matcher  string
		until    time.Time
		severity proto.Severity
		at       time.Time
		want     bool
	}{
		{"by rule", `$.rule.id == "2100498"`, now.Add(time.Hour), proto.SeverityHigh, now, true},
		{"by another rule", `$.rule.id == "1"`, now.Add(time.Hour), proto.SeverityHigh, now, false},
		{"ended", `true`, now.Add(time.Hour), proto.SeverityHigh, now.Add(time.Hour), false},
		{"without an end", `$.source == "suricata"`, time.Time{}, proto.SeverityHigh, now.Add(1000 * time.Hour), true},
		{"a critical one, with an end", `true`, now.Add(time.Hour), proto.SeverityCritical, now, true},
		{"a critical one, without an end", `true`, time.Time{}, proto.SeverityCritical, now, false},
		{"a matcher that fails", `$.title < 5 && $.title`, now.Add(time.Hour), proto.SeverityHigh, now, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := silence.New(tt.matcher, "", "", now, tt.until)
			if err != nil {
				t.Fatal(err)
			}
			set, err := silence.Compile(silence.List{s})
			if err != nil {
				t.Fatal(err)
			}
			by, got := set.Match(tt.severity, payload(tt.severity, "x"), tt.at)
			if got != tt.want || got && by.ID != s.ID {
				t.Errorf("got %t, %+v", got, by)
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		matcher, comment string
		until            time.Time
		want             string
	}{
		"no expression": {`$.rule.id ==`, "", time.Time{}, "the matcher"},
		"nothing":       {" ", "", time.Time{}, "is: true"},
		"the past":      {`true`, "", now, "before it begins"},
		"a novel":       {`true`, strings.Repeat("x", 1001), time.Time{}, "1000 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := silence.New(test.matcher, test.comment, "", now, test.until); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestListsStayShort(t *testing.T) {
	var l silence.List
	add := func(until time.Time) error {
		s, err := silence.New("true", "", "", now, until)
		if err != nil {
			t.Fatal(err)
		}
		next, err := l.With(s)
		if err == nil {
			l = next
		}
		return err
	}
	for range 200 {
		if err := add(now.Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	if err := add(time.Time{}); err == nil {
		t.Error("201 silences")
	}
	for i := range l {
		l[i].Until = now.Add(-time.Minute)
	}
	if err := add(time.Time{}); err != nil || len(l) != 1 {
		t.Errorf("%d silences, %v: those that have ended are in the way", len(l), err)
	}
}

// A list that somebody else has written costs no more than one that With makes.
func TestListsOfOthersAreBounded(t *testing.T) {
	var l silence.List
	for n := range 5000 {
		l = append(l, silence.Silence{ID: fmt.Sprint(n), Matcher: `$.title == "x"`})
	}
	l[0].Matcher = `$.title == "` + strings.Repeat("y", 2000) + `" || true`
	l[4999].Matcher = "true"
	set, err := silence.Compile(l)
	if err == nil || !strings.Contains(err.Error(), "5000 silences") || !strings.Contains(err.Error(), "bytes") {
		t.Errorf("got %v", err)
	}
	if s, ok := set.Match(proto.SeverityHigh, payload(proto.SeverityHigh, "y"), now); ok {
		t.Errorf("silence %s holds the alert back", s.ID)
	}
	if _, ok := set.Match(proto.SeverityHigh, payload(proto.SeverityHigh, "x"), now); !ok {
		t.Error("the first silences are without effect")
	}
	l = nil
	for {
		s, err := silence.New(`$.title == "`+strings.Repeat("<", 900)+`"`, strings.Repeat("&", 1000), "", now, now.Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		next, err := l.With(s)
		if err != nil {
			if !strings.Contains(err.Error(), "remove some") || len(next) > 0 || len(l) < 40 {
				t.Errorf("after %d silences: %v", len(l), err)
			}
			return
		}
		l = next
	}
}

// Several people change the silences at once, and a notifier sees the result.
func TestStore(t *testing.T) {
	b := bustest.Start(t)
	operator := b.Conn(t, bus.RoleOperator)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			s, err := silence.New("true", fmt.Sprint(i), "", now, now.Add(time.Hour))
			if err != nil {
				t.Error(err)
			}
			if err := silence.Change(t.Context(), operator, func(l silence.List) (silence.List, error) { return l.With(s) }); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	l, err := silence.Load(t.Context(), operator)
	if err != nil || len(l) != 8 {
		t.Fatalf("%d silences, %v", len(l), err)
	}
	keeper := silence.NewKeeper(b.Conn(t, bus.RoleNotifier), slog.New(slog.DiscardHandler))
	if _, silenced := keeper.Match(proto.SeverityHigh, payload(proto.SeverityHigh, "x"), now); silenced {
		t.Error("silenced before anything was read")
	}
	if err := keeper.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, silenced := keeper.Match(proto.SeverityHigh, payload(proto.SeverityHigh, "x"), now); !silenced {
		t.Error("not silenced")
	}
	if err := silence.Change(t.Context(), operator, func(silence.List) (silence.List, error) { return nil, nil }); err != nil {
		t.Fatal(err)
	}
	if err := keeper.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, silenced := keeper.Match(proto.SeverityHigh, payload(proto.SeverityHigh, "x"), now); silenced {
		t.Error("still silenced")
	}
	refused := errors.New("no")
	if err := silence.Change(context.Background(), operator, func(silence.List) (silence.List, error) { return nil, refused }); !errors.Is(err, refused) {
		t.Errorf("got %v", err)
	}
}

// A keeper follows what is stored, and goes on with what it knows while the bus is
// absent.
func TestKeeperFollows(t *testing.T) {
	b := bustest.Start(t)
	operator := b.Conn(t, bus.RoleOperator)
	set := func(l silence.List) {
		t.Helper()
		bustest.Eventually(t, "the silences are stored", func() bool {
			err := silence.Change(t.Context(), operator, func(silence.List) (silence.List, error) { return l, nil })
			if err != nil && !errors.Is(err, bus.ErrNotConnected) {
				t.Fatal(err)
			}
			return err == nil
		})
	}
	one, err := silence.New("true", "", "", now, now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	set(silence.List{one})
	keeper := silence.NewKeeper(b.Conn(t, bus.RoleNotifier), bustest.Log(t))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- keeper.Run(ctx) }()
	silenced := func() bool {
		_, silenced := keeper.Match(proto.SeverityHigh, payload(proto.SeverityHigh, "x"), now)
		return silenced
	}
	bustest.Eventually(t, "what was stored before is in force", silenced)
	set(nil)
	bustest.Eventually(t, "the silence is not in force any more", func() bool { return !silenced() })
	set(silence.List{one})
	bustest.Eventually(t, "it is in force again", silenced)
	b.Stop(t)
	if !silenced() {
		t.Error("not in force without a bus")
	}
	b.Restart(t)
	if !silenced() {
		t.Error("not in force after a restart")
	}
	set(nil)
	bustest.Eventually(t, "the silence is not in force any more", func() bool { return !silenced() })

	// What cannot be read changes nothing.
	set(silence.List{one})
	bustest.Eventually(t, "it is in force again", silenced)
	_, revision, err := operator.Get(t.Context(), proto.KeySilences)
	if err == nil {
		_, err = operator.Put(t.Context(), proto.KeySilences, []byte("{broken"), revision)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := keeper.Refresh(t.Context()); err == nil || !silenced() {
		t.Errorf("read something broken: %v", err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("the keeper ended with %v", err)
	}
}
