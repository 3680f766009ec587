package sensorhealth

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/shipper/internal/normalize"
)

// silence is the period that the tests use.
const silence = 5 * time.Minute

// begin is when each test begins.
func begin() time.Time { return time.Date(2026, 11, 22, 7, 0, 0, 0, time.UTC) }

func watch(sensor string) *Monitor { return restored(sensor, silence, normalize.Alarm{}) }

// restored goes on after last.
func restored(sensor string, silence time.Duration, last normalize.Alarm) *Monitor {
	return New(Config{
		Sensor: sensor, Path: "log/eve.json", Silence: silence,
		Metrics: NewMetrics(prometheus.NewRegistry()), Report: func(string, error) {},
	}, last, begin())
}

// say renders alarms as "+condition" for one that is raised and "-condition" for
// one that is over.
func say(alarms []normalize.Alarm) string {
	var words []string
	for _, a := range alarms {
		sign := "+"
		if a.Over {
			sign = "-"
		}
		words = append(words, sign+a.Condition)
	}
	return strings.Join(words, " ")
}

// expect checks what has come up since it was called last, and returns it.
func expect(t *testing.T, v *Monitor, what, want string) []normalize.Alarm {
	t.Helper()
	alarms := v.Alarms()
	if got := say(alarms); got != want {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
	return alarms
}

func TestSilence(t *testing.T) {
	type step struct {
		at   time.Duration
		do   string // lines, busy, idle
		want string
	}
	for _, test := range []struct {
		name  string
		steps []step
	}{
		{"a line just in time", []step{{silence - 1, "idle", ""}, {silence - 1, "lines", ""}, {2*silence - 2, "idle", ""}}},
		{"silent, then not", []step{{silence, "idle", "+silent"}, {3 * silence, "lines", "-silent"}}},
		{"reported once", []step{{silence, "idle", "+silent"}, {2 * silence, "idle", ""}, {9 * silence, "idle", ""}}},
		{"again", []step{{silence, "idle", "+silent"}, {2 * silence, "lines", "-silent"}, {3*silence - 1, "idle", ""}, {3 * silence, "idle", "+silent"}}},
		{"busy is not silent", []step{{9 * silence, "busy", ""}, {9 * silence, "idle", ""}, {10*silence - 1, "idle", ""}, {10 * silence, "idle", "+silent"}}},
		{"busy ends no silence", []step{{silence, "idle", "+silent"}, {2 * silence, "busy", ""}, {9 * silence, "idle", ""}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := watch("Suricata")
			for i, s := range test.steps {
				now := begin().Add(s.at)
				switch s.do {
				case "lines":
					v.Lines(now)
				case "busy":
					v.Busy(now)
				case "idle":
					v.Idle(now, "")
				}
				expect(t, v, fmt.Sprintf("step %d, %s", i, s.do), s.want)
			}
		})
	}
}

func TestSilenceInWords(t *testing.T) {
	for _, test := range []struct{ name, waiting, unreachable, want string }{
		{"stale", "", "", "Tracee has been silent for 5m0s: nothing was written to log/eve.json since 2026-11-22 07:00:00 UTC; is it running, and does it write there?"},
		{"missing", "log does not exist yet", "", "Tracee has been silent for 5m0s: log does not exist yet; is it running, and does it write there?"},
		{"endpoint down", "log does not exist yet", "refused", "Tracee has been silent for 5m0s: log does not exist yet; its metrics endpoint does not answer; is it running, and does it write there?"},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := watch("Tracee")
			if test.unreachable != "" {
				v.scraper = newScraper("http://tracee.invalid/metrics")
				v.scraper.latest.Store(&reading{err: errors.New(test.unreachable)})
			}
			v.Idle(begin().Add(silence), test.waiting)
			raised := expect(t, v, "idle", "+silent")[0]
			if raised.Text != test.want || raised.Severity != proto.SeverityHigh || !raised.Since.Equal(begin()) {
				t.Errorf("raised %+v", raised)
			}
			if standing := v.texts(); !slices.Equal(standing, []string{test.want}) {
				t.Errorf("standing %q", standing)
			}
			v.Lines(begin().Add(12*time.Minute + 400*time.Millisecond))
			over := expect(t, v, "lines", "-silent")[0]
			if over.Text != "Tracee writes again, after 12m0s of silence" || over.Severity != proto.SeverityMedium || !over.Since.Equal(begin()) {
				t.Errorf("over %+v", over)
			}
			if v.stands(Silent) || len(v.texts()) > 0 {
				t.Error("the alarm still stands")
			}
		})
	}
}

func TestSilenceCanBeSwitchedOff(t *testing.T) {
	v := restored("falco", 0, normalize.Alarm{Condition: Silent, Since: begin()})
	v.Idle(begin().Add(1000*time.Hour), "log does not exist yet")
	v.Lines(begin().Add(1001 * time.Hour))
	expect(t, v, "a thousand hours", "")
}

// A silence that was reported before a restart is not reported again, and its
// end is reported with its whole length.
func TestRestore(t *testing.T) {
	earlier := begin().Add(-time.Hour)
	for _, test := range []struct {
		name string
		last normalize.Alarm
		want string // of a silence period and a line after it
	}{
		{"silence", normalize.Alarm{Condition: Silent, Since: earlier}, "-silent"},
		{"end of a silence", normalize.Alarm{Condition: Silent, Over: true, Since: earlier}, "+silent -silent"},
		{"another condition", normalize.Alarm{Condition: LostEvents, Since: earlier}, "+silent -silent"},
		{"none", normalize.Alarm{}, "+silent -silent"},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := restored("Tracee", silence, test.last)
			v.Idle(begin().Add(silence), "")
			v.Lines(begin().Add(2 * silence))
			alarms := expect(t, v, "idle, lines", test.want)
			if over := alarms[len(alarms)-1]; test.name == "silence" && over.Text != "Tracee writes again, after 1h10m0s of silence" {
				t.Errorf("over %+v", over)
			}
		})
	}
}

func TestLostEvents(t *testing.T) {
	type step struct {
		minutes int
		total   uint64
		want    string
	}
	for _, test := range []struct {
		name  string
		steps []step
		text  string // of the last alarm
	}{
		{"none", []step{{0, 0, ""}, {1, 0, ""}, {99, 0, ""}}, ""},
		{"lost before the first look", []step{{0, 700, ""}, {1, 700, ""}}, ""},
		{"once, then no more", []step{{0, 5, ""}, {1, 12, "+lost-events"}, {10, 12, ""}, {11, 12, "-lost-events"}}, "Tracee has lost no more events for 10m0s"},
		{"reported at most every ten minutes", []step{{0, 0, ""}, {1, 1, "+lost-events"}, {2, 3, ""}, {10, 6, ""}, {11, 10, "+lost-events"}}, "Tracee has lost 9 events since 2026-11-22 07:01:00 UTC, before it could write them; it needs larger buffers, more CPU or fewer events"},
		{"what is left is reported", []step{{0, 0, ""}, {1, 1, "+lost-events"}, {5, 8, ""}, {11, 8, "+lost-events"}, {21, 8, "-lost-events"}}, "Tracee has lost no more events for 10m0s"},
		{"restarted", []step{{0, 900, ""}, {1, 0, ""}, {2, 0, ""}}, ""},
		{"restarted and losing", []step{{0, 900, ""}, {1, 40, "+lost-events"}}, "Tracee has lost 40 events since 2026-11-22 07:00:00 UTC, before it could write them; it needs larger buffers, more CPU or fewer events"},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := watch("Tracee")
			text := ""
			for i, s := range test.steps {
				v.lost.judge(v, begin().Add(time.Duration(s.minutes)*time.Minute), s.total)
				for _, a := range expect(t, v, fmt.Sprintf("step %d", i), s.want) {
					text = a.Text
					if a.Severity != proto.SeverityMedium {
						t.Errorf("severity %s", a.Severity)
					}
				}
			}
			if text != test.text {
				t.Errorf("text %q, want %q", text, test.text)
			}
		})
	}
}
