package sensortest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestPlay(t *testing.T) {
	const recorded = `{"timestamp":"2026-11-22T07:09:02.262167+0000","event_type":"dns"}
{"timestamp":"2026-11-22T07:09:02.362167+0000","event_type":"alert","flow":{"start":"2026-11-22T07:09:02.000000+0000"}}
{"timestamp":"2026-11-22T07:09:50.000000+0000","event_type":"stats"}
`
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "eve.json")
		start := time.Now()
		r := Recording{Path: path, Lines: []byte(recorded), Pace: Pace{Max: time.Second}}
		n, err := r.Play(t.Context())
		if err != nil || n != 3 {
			t.Fatalf("played %d lines: %v", n, err)
		}
		// The bubble's clock moves only while Play pauses: 0.1 s as recorded,
		// then 47 s cut to one.
		if took := time.Since(start); took != 1100*time.Millisecond {
			t.Errorf("took %s, want 1.1s", took)
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		at := func(d time.Duration) string {
			return start.Add(d).UTC().Format(`"2006-01-02T15:04:05.000000-0700"`)
		}
		want := strings.NewReplacer(
			`"2026-11-22T07:09:02.262167+0000"`, at(0),
			`"2026-11-22T07:09:02.362167+0000"`, at(100*time.Millisecond),
			`"2026-11-22T07:09:50.000000+0000"`, at(1100*time.Millisecond),
		).Replace(recorded)
		if string(got) != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	})
}

func TestRestampKeepsTheLayout(t *testing.T) {
	at := time.Date(2026, 12, 1, 2, 3, 4, 567891234, time.UTC)
	for name, test := range map[string]struct{ line, want string }{
		"suricata": {
			`{"timestamp":"2026-11-22T07:09:02.262167+0000","flow_id":1688948911751545}`,
			`{"timestamp":"2026-12-01T02:03:04.567891+0000","flow_id":1688948911751545}`,
		},
		"tracee 0.24": {
			`{"timestamp":1795331671043240870,"threadStartTime":1795331671032226937}`,
			`{"timestamp":1796090584567891234,"threadStartTime":1795331671032226937}`,
		},
		"tracee v1beta1": {
			`{"timestamp":"2026-11-22T07:16:25.312146069Z","id":1015}`,
			`{"timestamp":"2026-12-01T02:03:04.567891234Z","id":1015}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, layout, err := timeOf([]byte(test.line))
			if err != nil {
				t.Fatal(err)
			}
			if got := string(restamp([]byte(test.line), at, layout)); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestPlayRefusesWhatHasNoTime(t *testing.T) {
	for name, line := range map[string]string{
		"none":       `{"event_type":"dns"}`,
		"not first":  `{"event_type":"dns","timestamp":"2026-11-22T07:09:02.262167+0000"}`,
		"unreadable": `{"timestamp":"yesterday"}`,
	} {
		t.Run(name, func(t *testing.T) {
			r := Recording{Path: filepath.Join(t.TempDir(), "f"), Lines: []byte(line + "\n")}
			if n, err := r.Play(t.Context()); err == nil || n != 0 {
				t.Errorf("played %d lines, error %v", n, err)
			}
		})
	}
}

func TestPlayStopsWhenToldTo(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	line := `{"timestamp":1795331671043240870}` + "\n"
	r := Recording{Path: filepath.Join(t.TempDir(), "f"), Lines: []byte(line + line), Pace: Pace{Min: time.Hour, Max: time.Hour}}
	if n, err := r.Play(ctx); !errors.Is(err, context.Canceled) || n != 1 {
		t.Errorf("played %d lines, error %v", n, err)
	}
}
