package kv

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openclaw-security/bus/services/internal/bus"
)

// memory is a Store of one key.
type memory struct {
	mu       sync.Mutex
	value    []byte
	revision uint64
	down     bool
	lose     bool // the reply to the next Put
}

func (m *memory) Get(context.Context, string) ([]byte, uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down {
		return nil, 0, bus.ErrNotConnected
	}
	return m.value, m.revision, nil
}

func (m *memory) Put(_ context.Context, _ string, value []byte, revision uint64) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.down:
		return 0, bus.ErrNotConnected
	case revision != m.revision:
		return 0, bus.ErrFenced
	}
	m.revision++
	m.value = value
	if m.lose {
		m.lose = false
		return 0, bus.ErrMaybeStored
	}
	return m.revision, nil
}

// set writes the key as a process does that asks for nothing.
func (m *memory) set(value []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.value = value
	m.revision++
}

func options(m *memory) LeaseOptions {
	return LeaseOptions{Store: m, Key: "lease", What: "another program works", Log: slog.New(slog.DiscardHandler)}
}

func acquire(t *testing.T, m *memory) *Lease {
	t.Helper()
	l, err := Acquire(t.Context(), options(m))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// keep renews a lease until stop is called, which returns what Keep did.
func keep(t *testing.T, l *Lease) (stop func() error) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.Keep(ctx) }()
	return func() error {
		cancel()
		return <-ended
	}
}

// Who comes later finds out and leaves; the holder goes on.
func TestTheHolderStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := new(memory)
		l := acquire(t, m)
		stop := keep(t, l)
		for range 3 {
			began := time.Now()
			_, err := Acquire(t.Context(), options(m))
			if !errors.Is(err, ErrHeld) || !strings.Contains(err.Error(), "another program works already") || !strings.Contains(err.Error(), l.holder.Instance) {
				t.Errorf("the second got %v", err)
			}
			if waited := time.Since(began); waited > LeaseTerm {
				t.Errorf("it knew only after %s", waited)
			}
		}
		if err := stop(); err != nil {
			t.Errorf("the holder ended with %v", err)
		}
		l.Release(t.Context())
		began := time.Now()
		acquire(t, m)
		if waited := time.Since(began); waited != 0 {
			t.Errorf("a released lease was free after %s", waited)
		}
	})
}

// A holder that was killed blocks nobody for longer than a term, not even if a last
// write of it comes late, and of several successors one gets the lease.
func TestAKilledHolder(t *testing.T) {
	for name, late := range map[string]bool{"": false, "with a late write": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := new(memory)
				acquire(t, m)
				began := time.Now()
				results := make(chan error, 3)
				for range cap(results) {
					go func() {
						l, err := Acquire(t.Context(), options(m))
						if err == nil {
							go func() { _ = l.Keep(t.Context()) }()
						}
						results <- err
					}()
				}
				synctest.Wait()
				if late {
					m.set(m.value)
				}
				held := 0
				for range cap(results) {
					if err := <-results; errors.Is(err, ErrHeld) {
						held++
					} else if waited := time.Since(began); err != nil || waited < LeaseTerm || waited > 2*LeaseTerm {
						t.Errorf("after %s: %v", waited, err)
					}
				}
				if held != cap(results)-1 {
					t.Errorf("%d of %d were refused", held, cap(results))
				}
			})
		})
	}
}

// What is not a holder holds nothing, and removing the key takes nothing away.
func TestTheKeyIsOverwritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{value: []byte(`{broken`), revision: 7}
		l := acquire(t, m)
		stop := keep(t, l)
		for _, value := range []string{"", "[]", `{"instance":""}`} {
			m.set([]byte(value))
			time.Sleep(LeaseTerm)
			if _, err := Acquire(t.Context(), options(m)); !errors.Is(err, ErrHeld) {
				t.Errorf("after %q: %v", value, err)
			}
		}
		if err := stop(); err != nil {
			t.Errorf("the holder ended with %v", err)
		}
	})
}

// A bus that is away, and replies that are lost, take no lease away.
func TestTheBusIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{lose: true, down: true}
		acquired := make(chan *Lease)
		go func() { acquired <- acquire(t, m) }()
		time.Sleep(time.Minute)
		down := func(down bool) {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.down, m.lose = down, true
		}
		down(false)
		stop := keep(t, <-acquired)
		for range 3 {
			down(true)
			time.Sleep(time.Minute)
			down(false)
			if _, err := Acquire(t.Context(), options(m)); !errors.Is(err, ErrHeld) {
				t.Errorf("once the bus is back: %v", err)
			}
		}
		if err := stop(); err != nil {
			t.Errorf("the holder ended with %v", err)
		}
	})
}

// A holder that stood still for too long learns that another has the lease.
func TestAHolderThatStoodStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := new(memory)
		l := acquire(t, m)
		acquire(t, m)
		if err := l.Keep(t.Context()); !errors.Is(err, ErrHeld) {
			t.Errorf("got %v", err)
		}
	})
}

// The successor of a process of the same machine need not wait.
func TestAProcessThatIsGone(t *testing.T) {
	ended := exec.Command(os.Args[0], "-test.run=^$")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	here := machine()
	if here == "" {
		t.Log("on this system nothing is known of other processes")
	}
	for _, tt := range []struct {
		name   string
		holder Holder
		want   bool
	}{
		{"ended", Holder{Machine: here, PID: ended.Process.Pid}, here != ""},
		{"running", Holder{Machine: here, PID: os.Getppid()}, false},
		{"itself", Holder{Machine: here, PID: os.Getpid()}, false},
		{"on another machine", Holder{Machine: "another", PID: ended.Process.Pid}, false},
		{"on a machine that is not known", Holder{PID: ended.Process.Pid}, false},
		{"not a process", Holder{Machine: here}, false},
	} {
		if got := tt.holder.gone(); got != tt.want {
			t.Errorf("%s: gone %t", tt.name, got)
		}
	}
	m := new(memory)
	left := Holder{Instance: "left", Machine: here, PID: ended.Process.Pid}
	value, err := json.Marshal(left)
	if err != nil {
		t.Fatal(err)
	}
	m.set(value)
	if here == "" {
		return
	}
	o := options(m)
	o.Term = time.Hour
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := Acquire(ctx, o); err != nil {
		t.Errorf("its successor: %v", err)
	}
}
