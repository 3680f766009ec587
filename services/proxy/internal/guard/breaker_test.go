package guard

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// broken is a guard that fails while failing is set, and its client, whose
// clock stands.
type broken struct {
	*Client
	guard   *fakeGuard
	failing atomic.Bool
	now     time.Time
	states  []error
}

func newBroken(t *testing.T) *broken {
	b := &broken{now: time.Unix(1e9, 0)}
	b.failing.Store(true)
	b.guard = startGuard(t, func(w http.ResponseWriter, _ []string) {
		if b.failing.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		io.WriteString(w, `{"score":0}`)
	})
	b.Client = client(t, b.guard.URL, func(c *Config) {
		c.Now = func() time.Time { return b.now }
		c.OnState = func(err error) { b.states = append(b.states, err) }
	})
	return b
}

// check returns whether the guard was asked, and the verdict's error.
func (b *broken) check(t *testing.T) (asked bool, err error) {
	t.Helper()
	v := b.Check(t.Context(), texts("text"))
	if v.Blocked != (v.Err != nil) {
		t.Errorf("got %+v", v)
	}
	return len(b.guard.questions()) > 0, v.Err
}

func (b *broken) open(t *testing.T) {
	t.Helper()
	for i := range maxFailures {
		if asked, err := b.check(t); !asked || err == nil || errors.Is(err, ErrNotAsked) {
			t.Fatalf("failure %d: asked %t, %v", i, asked, err)
		}
	}
	if err := b.State(); !errors.Is(err, ErrNotAsked) || !strings.Contains(err.Error(), "status 503") {
		t.Fatalf("state %v", err)
	}
}

func TestBreakerOpensAndCloses(t *testing.T) {
	b := newBroken(t)
	if err := b.State(); err != nil {
		t.Errorf("state at first %v", err)
	}
	b.open(t)
	b.failing.Store(false)

	b.now = b.now.Add(openFor - time.Nanosecond)
	if asked, err := b.check(t); asked || !errors.Is(err, ErrNotAsked) {
		t.Errorf("while open: asked %t, %v", asked, err)
	}
	b.now = b.now.Add(time.Nanosecond)
	if asked, err := b.check(t); !asked || err != nil {
		t.Errorf("afterwards: asked %t, %v", asked, err)
	}
	if err := b.State(); err != nil {
		t.Errorf("state in the end %v", err)
	}
	if len(b.states) != 2 || b.states[0] == nil || b.states[1] != nil {
		t.Errorf("told %v", b.states)
	}
}

func TestBreakerStaysOpen(t *testing.T) {
	b := newBroken(t)
	b.open(t)
	for range 3 {
		b.now = b.now.Add(openFor)
		if asked, err := b.check(t); !asked || err == nil {
			t.Errorf("asked %t, %v", asked, err)
		}
		if asked, err := b.check(t); asked || !errors.Is(err, ErrNotAsked) {
			t.Errorf("right after: asked %t, %v", asked, err)
		}
	}
	if len(b.states) != 1 {
		t.Errorf("told %v", b.states)
	}
}

func TestFailuresInARow(t *testing.T) {
	b := newBroken(t)
	for range 3 {
		b.failing.Store(true)
		for range maxFailures - 1 {
			b.check(t)
		}
		b.failing.Store(false)
		if v := b.Check(t.Context(), texts(b.now.String())); v.Err != nil {
			t.Fatal(v.Err)
		}
		b.now = b.now.Add(time.Second) // another text
	}
	if len(b.states) > 0 {
		t.Errorf("told %v", b.states)
	}
}

func TestOnlyOneProbes(t *testing.T) {
	b := newBroken(t)
	b.open(t)
	b.now = b.now.Add(openFor)
	entered, release := make(chan struct{}), make(chan struct{})
	b.guard.onQuestion = func(w http.ResponseWriter, _ []string) {
		close(entered)
		<-release
		io.WriteString(w, `{"score":0}`)
	}
	probe := make(chan Verdict)
	go func() { probe <- b.Check(t.Context(), texts("first")) }()
	<-entered
	if v := b.Check(t.Context(), texts("second")); !errors.Is(v.Err, ErrNotAsked) || !v.Blocked {
		t.Errorf("beside the probe: %+v", v)
	}
	close(release)
	if v := <-probe; v.Err != nil {
		t.Errorf("the probe: %+v", v)
	}
}

func TestClientsThatGoAwayAreNoFailures(t *testing.T) {
	b := newBroken(t)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for range 2 * maxFailures {
		if v := b.Check(gone, texts("text")); !errors.Is(v.Err, context.Canceled) || !v.Blocked {
			t.Fatalf("got %+v", v)
		}
	}
	if err := b.State(); err != nil {
		t.Fatalf("state %v", err)
	}

	b.open(t)
	b.now = b.now.Add(openFor)
	if v := b.Check(gone, texts("text")); !errors.Is(v.Err, context.Canceled) {
		t.Errorf("got %+v", v)
	}
	b.failing.Store(false)
	if asked, err := b.check(t); !asked || err != nil {
		t.Errorf("the next one: asked %t, %v", asked, err)
	}
}

func TestLateAnswersDoNotClose(t *testing.T) {
	b := newBreaker(time.Now, nil)
	late, err := b.enter()
	if err != nil {
		t.Fatal(err)
	}
	for range maxFailures {
		b.done(errors.New("failed"))
	}
	late(nil)
	if b.state() == nil {
		t.Error("an answer from before closed it")
	}
}
