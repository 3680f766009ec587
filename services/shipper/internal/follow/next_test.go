package follow

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// With a poll interval of an hour only a notification can end the wait.
func TestNextIsNotified(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "eve.json")
	f, err := Open(Config{Path: path, PollInterval: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	f.step(1) // watches the directory
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	next := func(want string) {
		t.Helper()
		b, err := f.Next(ctx, 10)
		if err != nil {
			t.Fatal(err)
		}
		if got := show(&b.Lines[0]); len(b.Lines) != 1 || got != want {
			t.Fatalf("got %q and %d more, want %q", got, len(b.Lines)-1, want)
		}
	}
	r := &rig{t: t, dir: dir}
	r.write("eve.json", lines("a1"))
	next("a1")
	r.write("unrelated", lines("x"))
	r.write("eve.json", lines("a2"))
	next("a2")
	r.rename("eve.json", "eve.json.1")
	r.write("eve.json", lines("b1"))
	next("b1")
	r.truncate("eve.json")
	r.write("eve.json", lines("c1"))
	next("c1")
}

func TestNextPolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &rig{t: t, dir: t.TempDir()}
		f, err := Open(Config{Path: r.path("eve.json"), PollOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		lines := make(chan string)
		go func() {
			defer close(lines)
			for {
				b, err := f.Next(t.Context(), 10)
				if err != nil {
					return
				}
				lines <- show(&b.Lines[0])
			}
		}()
		synctest.Wait()
		r.write("eve.json", "a1\n")
		before := time.Now()
		if got := <-lines; got != "a1" {
			t.Errorf("got %q", got)
		}
		if waited := time.Since(before); waited > defaultPollInterval {
			t.Errorf("it took %v, polling every %v", waited, defaultPollInterval)
		}
	})
}

func TestNextErrors(t *testing.T) {
	f, err := Open(Config{Path: filepath.Join(t.TempDir(), "eve.json")})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Next(t.Context(), 0); err == nil {
		t.Error("a batch of no lines was accepted")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Next(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
}

// Stats sees what is written while nobody calls Next.
func TestStatsWhileBlocked(t *testing.T) {
	r := newRig(t, Config{})
	r.write("eve.json", lines("a1", "a2"))
	r.expect("a1", "a2")
	r.write("eve.json", lines("a3", "a4", "a5"))
	start := r.now
	if s := r.f.Stats(); s.LagBytes != 9 || s.LagLines != 3 || s.OpenGenerations != 1 {
		t.Errorf("stats: %+v", s)
	}
	r.rename("eve.json", "eve.json.1")
	r.write("eve.json", lines("b1"))
	r.now = r.now.Add(time.Minute)
	if s := r.f.Stats(); s.LagBytes != 12 || s.LagLines != 4 || s.OldestUnread < r.now.Sub(start) {
		t.Errorf("stats: %+v", s)
	}
	r.expect("a3", "a4", "a5", "b1")
	if s := r.f.Stats(); s.LagBytes != 0 || s.LagLines != 0 || s.OldestUnread != 0 {
		t.Errorf("stats: %+v", s)
	}
}

func TestGrowthAge(t *testing.T) {
	var h growth
	at := func(second int) time.Time { return time.Unix(int64(second), 0) }
	if !h.since(0).IsZero() {
		t.Error("nothing has grown yet")
	}
	const n = 100
	for i := 1; i <= n; i++ {
		h.note(int64(10*i), at(i))
	}
	if got := h.since(0); got.Before(at(1)) || got.After(at(n/2)) {
		t.Errorf("the first byte was there at %v", got)
	}
	if got := h.since(10*n - 1); !got.Equal(at(n)) {
		t.Errorf("the last byte was there at %v, want %v", got, at(n))
	}
	if !h.since(10 * n).IsZero() {
		t.Error("nothing is unread")
	}
}

// Reading does not keep descriptors of what has ended.
func TestDescriptors(t *testing.T) {
	r := newRig(t, Config{})
	count := func() int {
		t.Helper()
		fds, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip("there is no /proc")
		}
		return len(fds)
	}
	r.write("eve.json", lines("a1"))
	r.expect("a1")
	before := count()
	for range 20 {
		shift(r)
		r.write("eve.json", lines("b1"))
		r.expect("b1")
		r.pass()
		r.expect()
	}
	if after := count(); after != before {
		t.Errorf("%d descriptors, %d before", after, before)
	}
}

// A caller that waits in small portions gets every line once.
func TestNextWithDeadlines(t *testing.T) {
	dir := t.TempDir()
	f, err := Open(Config{Path: filepath.Join(dir, "eve.json"), PollInterval: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	f.step(1) // what is rotated before the first scan is not read
	const n = 2000
	written := make(chan struct{})
	go func() {
		defer close(written)
		r := &rig{t: t, dir: dir}
		for i := range n {
			if i%500 == 499 {
				r.rename("eve.json", fmt.Sprintf("eve.json.%d", n-i))
			}
			r.write("eve.json", lines(fmt.Sprint(i)))
		}
	}()
	defer func() { <-written }()
	all, cancelAll := context.WithTimeout(t.Context(), time.Minute)
	defer cancelAll()
	expired := 0
	for i := 0; i < n; {
		ctx, cancel := context.WithTimeout(all, time.Duration(expired%7)*50*time.Microsecond)
		b, err := f.Next(ctx, 10)
		cancel()
		if err != nil {
			if all.Err() != nil {
				t.Fatalf("line %d does not come: %v", i, err)
			}
			expired++
			continue
		}
		for j := range b.Lines {
			if got := show(&b.Lines[j]); got != fmt.Sprint(i) {
				t.Fatalf("got %q, want line %d", got, i)
			}
			i++
		}
	}
	if expired == 0 {
		t.Error("no deadline passed")
	}
}
