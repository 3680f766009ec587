package guard

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// broken is a guard that fails while failing is set, and its client. It is used
// in a bubble, whose clock the breaker goes by, and so without a network.
type broken struct {
	*Client
	guard   *fakeGuard
	failing atomic.Bool
	states  []error
}

func newBroken(t *testing.T) *broken {
	b := &broken{guard: &fakeGuard{}}
	b.failing.Store(true)
	b.guard.onQuestion = func(w http.ResponseWriter, _ []string) {
		if b.failing.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		io.WriteString(w, `{"score":0}`)
	}
	b.Client = client(t, "http://guard.example/", func(c *Config) {
		c.OnState = func(err error) { b.states = append(b.states, err) }
	})
	b.Client.http.Transport = direct{b.guard.handler(t)}
	return b
}

// direct is a transport without a network.
type direct struct{ http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w.Result(), nil
}

// inBubble runs a test with a broken guard.
func inBubble(t *testing.T, test func(t *testing.T, b *broken)) {
	synctest.Test(t, func(t *testing.T) { test(t, newBroken(t)) })
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
	inBubble(t, func(t *testing.T, b *broken) {
		if err := b.State(); err != nil {
			t.Errorf("state at first %v", err)
		}
		b.open(t)
		b.failing.Store(false)

		time.Sleep(openFor)
		if asked, err := b.check(t); asked || !errors.Is(err, ErrNotAsked) {
			t.Errorf("while open: asked %t, %v", asked, err)
		}
		time.Sleep(time.Nanosecond)
		if asked, err := b.check(t); !asked || err != nil {
			t.Errorf("afterwards: asked %t, %v", asked, err)
		}
		if err := b.State(); err != nil {
			t.Errorf("state in the end %v", err)
		}
		if len(b.states) != 2 || b.states[0] == nil || b.states[1] != nil {
			t.Errorf("told %v", b.states)
		}
	})
}

func TestBreakerStaysOpen(t *testing.T) {
	inBubble(t, func(t *testing.T, b *broken) {
		b.open(t)
		for range 3 {
			time.Sleep(openFor + time.Nanosecond)
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
	})
}

func TestFailuresInARow(t *testing.T) {
	inBubble(t, func(t *testing.T, b *broken) {
		for range 3 {
			b.failing.Store(true)
			for range maxFailures - 1 {
				b.check(t)
			}
			b.failing.Store(false)
			if v := b.Check(t.Context(), texts(time.Now().String())); v.Err != nil {
				t.Fatal(v.Err)
			}
			time.Sleep(time.Second) // another text
		}
		if len(b.states) > 0 {
			t.Errorf("told %v", b.states)
		}
	})
}

func TestOnlyOneProbes(t *testing.T) {
	inBubble(t, func(t *testing.T, b *broken) {
		b.open(t)
		time.Sleep(openFor + time.Nanosecond)
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
	})
}

func TestClientsThatGoAwayAreNoFailures(t *testing.T) {
	inBubble(t, func(t *testing.T, b *broken) {
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
		time.Sleep(openFor + time.Nanosecond)
		if v := b.Check(gone, texts("text")); !errors.Is(v.Err, context.Canceled) {
			t.Errorf("got %+v", v)
		}
		b.failing.Store(false)
		if asked, err := b.check(t); !asked || err != nil {
			t.Errorf("the next one: asked %t, %v", asked, err)
		}
	})
}

func TestLateAnswersDoNotClose(t *testing.T) {
	inBubble(t, func(t *testing.T, b *broken) {
		answer := b.guard.onQuestion
		entered, release := make(chan struct{}), make(chan struct{})
		b.guard.onQuestion = func(w http.ResponseWriter, _ []string) {
			close(entered)
			<-release
			io.WriteString(w, `{"score":0}`)
		}
		late := make(chan Verdict)
		go func() { late <- b.Check(t.Context(), texts("first")) }()
		<-entered
		b.guard.onQuestion = answer
		b.open(t)
		close(release)
		if v := <-late; v.Err != nil {
			t.Errorf("the late answer: %+v", v)
		}
		if b.State() == nil {
			t.Error("an answer from before closed it")
		}
	})
}
