package limit

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var small = MemoryConfig{Total: 100, Client: 60, Reserve: 30, Wait: time.Second}

// take has a new lease of client take n bytes.
func take(t *testing.T, m *Memory, client string, n int64) *Lease {
	t.Helper()
	l := m.Lease(client)
	if err := l.Take(t.Context(), n); err != nil {
		t.Fatalf("%s takes %d: %v", client, n, err)
	}
	return l
}

func TestTakeIsBounded(t *testing.T) {
	tests := []struct {
		name   string
		held   int64 // by a first client
		other  int64 // by a second
		client string
		n      int64
		last   bool
		want   error
	}{
		{"there is room", 50, 0, "a", 10, false, nil},
		{"the client's share", 50, 0, "a", 11, false, ErrBusy},
		{"another client's room", 60, 0, "b", 10, false, nil},
		{"the sum, without the reserve", 40, 25, "c", 6, false, ErrBusy},
		{"the reserve", 40, 30, "c", 30, true, nil},
		{"the sum", 40, 30, "c", 31, true, ErrBusy},
		{"more than a client may have", 0, 0, "a", 61, false, ErrNever},
		{"nothing", 60, 10, "a", 0, false, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := NewMemory(small)
				take(t, m, "a", tt.held)
				take(t, m, "b", tt.other)
				l := m.Lease(tt.client)
				start := time.Now()
				get := l.Take
				if tt.last {
					get = l.TakeLast
				}
				err := get(t.Context(), tt.n)
				if !errors.Is(err, tt.want) {
					t.Errorf("%v, want %v", err, tt.want)
				}
				if waited := time.Since(start); (waited == small.Wait) != (tt.want == ErrBusy) {
					t.Errorf("waited %v", waited)
				}
			})
		})
	}
}

func TestTakeWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory(small)
		first := take(t, m, "a", 60)
		var wg sync.WaitGroup
		wg.Go(func() { take(t, m, "a", 40).Close() })
		synctest.Wait()
		if _, waiting := m.Used(); waiting != 1 {
			t.Fatalf("%d wait", waiting)
		}
		take(t, m, "b", 10).Close() // another client does not wait behind it
		first.Give(39)
		synctest.Wait()
		if _, waiting := m.Used(); waiting != 1 {
			t.Fatal("got what was not there")
		}
		first.Give(1)
		wg.Wait()
		first.Close()
		if used, waiting := m.Used(); used != 0 || waiting != 0 || len(m.clients) != 0 {
			t.Errorf("%d used, %d wait, %d clients", used, waiting, len(m.clients))
		}
	})
}

// Those that ask for little must not keep one that asks for much waiting for ever.
func TestTakeInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory(small)
		first := take(t, m, "a", 50)
		order := make(chan string, 2)
		var wg sync.WaitGroup
		wg.Go(func() {
			l := take(t, m, "b", 60)
			order <- "much"
			l.Close()
		})
		synctest.Wait()
		wg.Go(func() {
			l := take(t, m, "c", 20)
			order <- "little"
			l.Close()
		})
		synctest.Wait()
		if len(order) != 0 {
			t.Error("overtaken")
		}
		first.Close()
		wg.Wait()
		if got := <-order; got != "much" {
			t.Errorf("first %s", got)
		}
	})
}

func TestTakeEndsWithItsContext(t *testing.T) {
	m := NewMemory(MemoryConfig{Total: 10, Client: 10, Wait: time.Hour})
	take(t, m, "a", 10)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := m.Lease("b").Take(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if _, waiting := m.Used(); waiting != 0 {
		t.Error("still waits")
	}
}

// Exchanges that each hold a part and wait for their last part all end.
func TestTakeLastEndsThem(t *testing.T) {
	m := NewMemory(MemoryConfig{Total: 100, Client: 100, Reserve: 40, Wait: time.Hour})
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			l := take(t, m, "a", 20)
			defer l.Close()
			if err := l.TakeLast(t.Context(), 40); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if used, _ := m.Used(); used != 0 {
		t.Errorf("%d used", used)
	}
}

func TestGiveAfterClose(t *testing.T) {
	m := NewMemory(small)
	a, b := take(t, m, "a", 30), take(t, m, "a", 30)
	a.Close()
	a.Close()
	a.Give(30) // of a transport that has written the body after all
	if used, _ := m.Used(); used != 30 {
		t.Errorf("%d used, want 30", used)
	}
	b.Give(1000)
	if used, _ := m.Used(); used != 0 {
		t.Errorf("%d used", used)
	}
}
