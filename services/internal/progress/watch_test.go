package progress_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/progress"
	"github.com/openclaw-security/bus/services/testing/bustest"
)

var noon = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

// ids are the alarms in short.
func ids(alarms []progress.Alarm) string {
	var all []string
	for _, a := range alarms {
		all = append(all, a.ID()+" "+a.Severity.String())
	}
	return strings.Join(all, ", ")
}

func TestSources(t *testing.T) {
	began := noon.Add(-time.Hour)
	for _, tt := range []struct {
		name  string
		beat  progress.Beat
		began time.Time
		want  string
	}{
		{"alive", progress.Beat{Stored: noon.Add(-20 * time.Second)}, began, ""},
		{"two beats missed", progress.Beat{Stored: noon.Add(-time.Minute)}, began, ""},
		{"dead", progress.Beat{Stored: noon.Add(-61 * time.Second)}, began, "source-silent/tracee on box1 high"},
		{"dead, and the bus was too", progress.Beat{Stored: noon.Add(-time.Hour)}, noon.Add(-time.Minute), ""},
		{"blocked for a moment", progress.Beat{Stored: noon, Problem: "x", For: 59 * time.Second}, began, ""},
		{"blocked", progress.Beat{Stored: noon, Problem: "x", For: time.Minute}, began, "source-blocked/tracee on box1 high"},
		{"blocked and dead", progress.Beat{Stored: noon.Add(-time.Hour), Problem: "x", For: time.Minute}, began, "source-silent/tracee on box1 high"},
		{"the server's clock was set back", progress.Beat{Stored: noon.Add(time.Hour)}, began, ""},
		{"started a few times", progress.Beat{Stored: noon, Starts: 4}, began, ""},
		{"started again and again", progress.Beat{Stored: noon, Starts: 5}, began, "source-restarts/tracee on box1 high"},
		{"blocked and started again and again", progress.Beat{Stored: noon, Problem: "x", For: time.Minute, Starts: 5}, began, "source-blocked/tracee on box1 high, source-restarts/tracee on box1 high"},
		{"ends before it beats", progress.Beat{Stored: noon.Add(-time.Hour), Starts: 9}, began, "source-silent/tracee on box1 high"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.beat.Host, tt.beat.Source = "box1", "tracee"
			got := progress.Sources(progress.State{Now: noon, Beats: []progress.Beat{tt.beat}}, tt.began, progress.Late)
			if ids(got) != tt.want {
				t.Errorf("got %q, want %q", ids(got), tt.want)
			}
		})
	}
}

func TestStreams(t *testing.T) {
	day := 24 * time.Hour
	for _, tt := range []struct {
		name   string
		stream bus.StreamState
		want   string
	}{
		{"well", bus.StreamState{Name: "S", Bytes: 50}, ""},
		{"refuses, filling", bus.StreamState{Name: "S", Bytes: 81}, "stream-filling/S medium"},
		{"refuses, nearly full", bus.StreamState{Name: "S", Bytes: 96}, "stream-filling/S high"},
		{"drops what is old enough", bus.StreamState{Name: "S", Bytes: 99, DiscardsOld: true, Oldest: noon.Add(-4 * day)}, ""},
		{"drops what is young", bus.StreamState{Name: "EVENTS_a", Bytes: 91, DiscardsOld: true, Oldest: noon.Add(-2 * day)}, "stream-short/EVENTS_a medium"},
		{"drops young alerts", bus.StreamState{Name: "ALERTS_a", Bytes: 91, DiscardsOld: true, Oldest: noon.Add(-time.Second)}, "stream-short/ALERTS_a high"},
		{"keeps for its own age", bus.StreamState{Name: "S", Bytes: 99, DiscardsOld: true, Oldest: noon.Add(-2 * day), MaxAge: day}, ""},
		{"has room", bus.StreamState{Name: "S", Bytes: 89, DiscardsOld: true, Oldest: noon.Add(-time.Hour)}, ""},
		{"is not there", bus.StreamState{Name: "S", Bytes: 100, Err: bus.ErrNotProvisioned}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.stream.Messages, tt.stream.MaxBytes = 1, 100
			got := progress.Streams(progress.State{Now: noon, Overview: bus.Overview{Streams: []bus.StreamState{tt.stream}}})
			if ids(got) != tt.want {
				t.Errorf("got %q, want %q", ids(got), tt.want)
			}
		})
	}
}

func TestConsumers(t *testing.T) {
	own := func(name string) bool { return name == "notifier-chat-urgent" }
	moving := bus.Progress{Pending: 5, AckedThrough: 7, Delivered: 9}
	for _, tt := range []struct {
		name          string
		before, after bus.DurableState
		passed        time.Duration
		want          string
	}{
		{
			"works",
			bus.DurableState{Name: "auditor", Progress: moving},
			bus.DurableState{Name: "auditor", Progress: bus.Progress{Pending: 5, AckedThrough: 8, Delivered: 9}},
			time.Hour, "",
		},
		{"nothing waits", bus.DurableState{Name: "auditor"}, bus.DurableState{Name: "auditor"}, time.Hour, ""},
		{"nobody fetches", bus.DurableState{Name: "auditor", Progress: moving}, bus.DurableState{Name: "auditor", Progress: moving}, 5 * time.Minute, "consumer-stopped/auditor of S high"},
		{"nobody fetches during a restart", bus.DurableState{Name: "auditor", Progress: moving}, bus.DurableState{Name: "auditor", Progress: moving}, 4 * time.Minute, ""},
		{
			"killed while it held some",
			bus.DurableState{Name: "auditor", Progress: bus.Progress{Unacked: 3}},
			bus.DurableState{Name: "auditor", Progress: bus.Progress{Unacked: 3}},
			5 * time.Minute, "consumer-stopped/auditor of S high",
		},
		{
			"paused",
			bus.DurableState{Name: "notifier-chat-urgent", Progress: moving, Waiting: 1},
			bus.DurableState{Name: "notifier-chat-urgent", Progress: moving, Waiting: 1},
			time.Minute, "consumer-stopped/notifier-chat-urgent of S high",
		},
		{
			"holds alerts until the chat takes them",
			bus.DurableState{Name: "notifier-chat-urgent", Progress: bus.Progress{Pending: 5, Unacked: 8192}},
			bus.DurableState{Name: "notifier-chat-urgent", Progress: bus.Progress{Pending: 9, Unacked: 8192}},
			time.Hour, "",
		},
		{"of a chat that is not configured any more", bus.DurableState{Name: "notifier-old", Progress: moving, Evicted: 3}, bus.DurableState{Name: "notifier-old", Progress: moving, Evicted: 3}, time.Hour, ""},
		{"lost some", bus.DurableState{Name: "auditor"}, bus.DurableState{Name: "auditor", Evicted: 3}, time.Second, "evicted/auditor of S high"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := progress.Watch{Own: own}
			tt.before.Stream, tt.after.Stream = "S", "S"
			state := func(at time.Time, d bus.DurableState) progress.State {
				return progress.State{Now: at, Overview: bus.Overview{Durables: []bus.DurableState{d}}}
			}
			if got := w.Judge(state(noon, tt.before)); tt.before.Evicted == 0 && len(got) > 0 {
				t.Errorf("at once: %q", ids(got))
			}
			if got := w.Judge(state(noon.Add(tt.passed), tt.after)); ids(got) != tt.want {
				t.Errorf("got %q, want %q", ids(got), tt.want)
			}
			w.Interrupted()
			if got := w.Judge(state(noon.Add(2*tt.passed), tt.after)); strings.Contains(ids(got), progress.ConsumerStopped) {
				t.Errorf("after an interruption: %q", ids(got))
			}
		})
	}
}

// A server that is lost again and again is an alarm, one that was restarted is none.
func TestServerRestarts(t *testing.T) {
	var w progress.Watch
	count := uint64(7) // what was before the watch began is not known to have been recent
	step := func(after time.Duration, lost uint64, want string) {
		t.Helper()
		count += lost
		if got := w.Judge(progress.State{Now: noon.Add(after), Reconnects: count}); ids(got) != want {
			t.Errorf("after %s: %q, want %q", after, ids(got), want)
		}
		if lost > 0 {
			w.Interrupted()
		}
	}
	step(0, 0, "")
	step(time.Minute, 1, "")
	step(29*time.Minute, 0, "")
	step(30*time.Minute, 3, "")
	step(31*time.Minute, 1, "")
	step(32*time.Minute, 1, "server-restarts/NATS high")
	step(33*time.Minute, 0, "server-restarts/NATS high")
	step(45*time.Minute+time.Second, 0, "")
}

func TestSettled(t *testing.T) {
	var w progress.Watch
	w.Judge(progress.State{Now: noon})
	for condition, after := range map[string]time.Duration{progress.SourceSilent: 2 * time.Minute, progress.ConsumerStopped: 6 * time.Minute, progress.StreamShort: -1} {
		if w.Settled(condition, noon.Add(after)) != (after < 0) || !w.Settled(condition, noon.Add(after+1)) {
			t.Errorf("%s is settled at another time than %s", condition, after)
		}
	}
}

// Starts are counted however long each process lives, and are not taken for being
// alive. A connection that is made anew is no start, and what was long ago does not count.
func TestStartsAreCounted(t *testing.T) {
	b := bustest.Start(t)
	shipper, operator := b.Conn(t, bus.ShipperRole(bustest.Tracee)), b.Conn(t, bus.RoleOperator)
	seen := func() progress.Beat {
		t.Helper()
		beats, err := progress.Beats(t.Context(), operator)
		if err != nil || len(beats) != 1 {
			t.Fatalf("%d heartbeats, %v", len(beats), err)
		}
		return beats[0]
	}
	run := func(h progress.Heart, beats int) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		h.Conn, h.Host, h.Source, h.Log = shipper, bustest.Host, bustest.Tracee, bustest.Log(t)
		h.Problem = func() error { return nil }
		h.Every = time.Hour
		if beats > 0 {
			h.Every = time.Millisecond
			h.Report = func(error) {
				if beats--; beats == 0 {
					cancel()
				}
			}
			h.Run(ctx)
			return
		}
		before, err := operator.LastUnder(t.Context(), proto.StateSubject(proto.KeyHeartbeat(bustest.Host, bustest.Tracee)), proto.StreamState)
		if err != nil {
			t.Fatal(err)
		}
		stop := h.Start(ctx)
		bustest.Eventually(t, "the start is stored", func() bool {
			m, err := operator.LastUnder(t.Context(), proto.StateSubject(proto.KeyHeartbeat(bustest.Host, bustest.Tracee)), proto.StreamState)
			return err == nil && m != nil && (before == nil || m.Sequence > before.Sequence)
		})
		cancel()
		stop()
	}
	long := time.Now().Add(-time.Hour)
	run(progress.Heart{Started: long}, 1)
	run(progress.Heart{Started: long}, 2)
	alive := seen()
	if alive.Starts != 0 {
		t.Errorf("%+v, started an hour ago", alive)
	}
	for n := 1; n <= progress.Restarts; n++ {
		run(progress.Heart{}, 0)
		if got := seen(); got.Starts != n || !got.Stored.Equal(alive.Stored) {
			t.Errorf("after %d starts: %+v, alive at %s", n, got, alive.Stored)
		}
	}
	run(progress.Heart{}, 1)
	if got := seen(); got.Starts != progress.Restarts+1 || !got.Stored.After(alive.Stored) {
		t.Errorf("alive: %+v", got)
	}
	for range 2 * progress.Restarts {
		run(progress.Heart{}, 1)
	}
	if got := seen(); got.Starts != 2*progress.Restarts {
		t.Errorf("%+v, of which no more starts are remembered than are needed", got)
	}
}

// A source beats in its own name, says why it cannot publish, and goes on after a
// restart of the server, or of itself.
func TestHeart(t *testing.T) {
	b := bustest.Start(t)
	operator := b.Conn(t, bus.RoleOperator)
	problem := errors.New("the stream is full")
	start := func(problem error) (stop func()) {
		return progress.Heart{
			Conn: b.Conn(t, bus.ShipperRole(bustest.Tracee)), Host: bustest.Host, Source: bustest.Tracee,
			Every: time.Millisecond, Problem: func() error { return problem }, Log: bustest.Log(t),
		}.Start(t.Context())
	}
	var last progress.Beat
	await := func(what string, holds func(progress.Beat) bool) {
		t.Helper()
		bustest.Eventually(t, what, func() bool {
			beats, err := progress.Beats(t.Context(), operator)
			if err != nil || len(beats) != 1 || !holds(beats[0]) {
				return false
			}
			last = beats[0]
			return true
		})
	}
	stop := start(nil)
	await("it beats", func(b progress.Beat) bool { return b.Name() == "tracee on box1" && b.Problem == "" })
	b.Restart(t)
	before := last.Stored
	await("it beats after a restart of the server", func(b progress.Beat) bool { return b.Stored.After(before) })
	stop()
	stop = start(problem)
	await("it says what is wrong", func(b progress.Beat) bool { return b.Problem == problem.Error() && b.For > 0 })
	stop()

	other := progress.Heart{Conn: b.Conn(t, bus.ShipperRole(bustest.Suricata)), Host: bustest.Host, Source: bustest.Tracee, Problem: func() error { return nil }, Every: time.Millisecond, Log: bustest.Log(t)}
	reported := make(chan error)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	other.Report = func(err error) {
		select {
		case reported <- err:
		case <-ctx.Done():
		}
	}
	stop = other.Start(ctx)
	var permission *bus.PermissionError
	if err := <-reported; !errors.As(err, &permission) {
		t.Errorf("another source beats in its name: %v", err)
	}
	cancel()
	stop()
	if _, err := b.Conn(t, bus.RoleTail).Put(t.Context(), proto.KeyHeartbeat(bustest.Host, bustest.Tracee), []byte("{}"), 0); err == nil {
		t.Error("a reader beats")
	}
}
