// Package limit bounds what clients and providers can make the proxy hold: memory,
// taken as bytes come and given back when they have been used, and connections. Each
// bound is one in sum and one for each client, so that no client can use up what
// the others need.
//
//	connection ─▶ Connections ─▶ request ─▶ Memory.Lease ─▶ Take: body, inspection, held answer
//	                │ full: an idle one is closed            │ full: waits, then ErrBusy
package limit

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

var (
	// ErrBusy says that there was no room in time.
	ErrBusy = errors.New("no memory became free in time")
	// ErrNever says that more was asked for than a client may have at all.
	ErrNever = errors.New("more memory than one client may use")
)

// MemoryConfig bounds memory, in bytes.
type MemoryConfig struct {
	Total  int64
	Client int64 // of one client
	// Reserve is a part of Total that [Lease.Take] leaves to [Lease.TakeLast]. It
	// keeps exchanges that each hold a part of what they need from waiting for
	// each other: one that has all but its last part gets that.
	Reserve int64
	Wait    time.Duration // how long a Take waits for room
}

// Memory is what all exchanges hold together. Its methods and those of its leases
// may be called concurrently.
type Memory struct {
	cfg MemoryConfig

	mu      sync.Mutex
	used    int64
	begun   uint64 // leases
	clients map[string]*share
	waiting list.List // of *waiter, the oldest first
}

// share is what one client holds.
type share struct {
	used   int64
	leases int
}

type waiter struct {
	lease   *Lease
	n       int64
	last    bool
	granted chan struct{}
}

// NewMemory returns a Memory of which nothing is used.
func NewMemory(cfg MemoryConfig) *Memory {
	return &Memory{cfg: cfg, clients: make(map[string]*share)}
}

// Used returns how many bytes are held, and how many Takes wait.
func (m *Memory) Used() (bytes int64, waiting int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.used, m.waiting.Len()
}

// Lease is what one exchange of a client holds.
type Lease struct {
	memory *Memory
	client string
	share  *share
	serial uint64 // leases are numbered as they begin
	held   int64
	closed bool
}

// Lease begins an exchange of client, which is to be closed.
func (m *Memory) Lease(client string) *Lease {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.clients[client]
	if s == nil {
		s = new(share)
		m.clients[client] = s
	}
	s.leases++
	m.begun++
	return &Lease{memory: m, client: client, share: s, serial: m.begun}
}

// Take takes n bytes more. It blocks while there is not enough room, and returns
// ErrBusy if there was none in time, ErrNever if there cannot be, or the error of
// ctx.
func (l *Lease) Take(ctx context.Context, n int64) error { return l.take(ctx, n, false) }

// TakeLast is Take for what an exchange needs once before it gives all back: it
// may use the reserve.
func (l *Lease) TakeLast(ctx context.Context, n int64) error { return l.take(ctx, n, true) }

func (l *Lease) take(ctx context.Context, n int64, last bool) error {
	if n <= 0 {
		return nil
	}
	m := l.memory
	m.mu.Lock()
	if limit := m.limit(last); l.held+n > min(limit, m.cfg.Client) {
		m.mu.Unlock()
		return fmt.Errorf("%w: %d bytes", ErrNever, l.held+n)
	}
	// As grant would decide if this one waited alone.
	if m.waiting.Len() == 0 && l.share.used+n <= m.cfg.Client && m.used+n <= m.limit(last || l.held > 0) {
		l.add(n)
		m.mu.Unlock()
		return nil
	}
	w := &waiter{lease: l, n: n, last: last, granted: make(chan struct{})}
	// An exchange that comes later does not overtake one that waits for the same.
	at := m.waiting.PushBack(w)
	m.grant()
	m.mu.Unlock()

	timer := time.NewTimer(m.cfg.Wait)
	defer timer.Stop()
	err := ErrBusy
	select {
	case <-w.granted:
		return nil
	default:
	}
	select {
	case <-w.granted:
		return nil
	case <-timer.C:
	case <-ctx.Done():
		err = ctx.Err()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	select {
	case <-w.granted:
		return nil
	default:
	}
	m.waiting.Remove(at)
	m.grant() // others may have waited behind it
	return err
}

// Give gives back n bytes of those that were taken.
func (l *Lease) Give(n int64) {
	l.memory.mu.Lock()
	defer l.memory.mu.Unlock()
	if n <= 0 || l.closed {
		return
	}
	l.add(-min(n, l.held))
	l.memory.grant()
}

// Close gives back everything. It must not be called during a Take.
func (l *Lease) Close() {
	m := l.memory
	m.mu.Lock()
	defer m.mu.Unlock()
	if l.closed {
		return
	}
	l.add(-l.held)
	l.closed = true
	if l.share.leases--; l.share.leases == 0 {
		delete(m.clients, l.client)
	}
	m.grant()
}

func (l *Lease) add(n int64) {
	l.held += n
	l.share.used += n
	l.memory.used += n
}

func (m *Memory) limit(last bool) int64 {
	if last {
		return m.cfg.Total
	}
	return m.cfg.Total - m.cfg.Reserve
}

// grant gives what there is room for to those who wait for it, in order. One that
// waits for its own client's share holds up nobody else.
//
// Exchanges that each hold a part of a body and wait for the next would wait for each
// other. So of those that hold something and wait, the oldest exchange of a client may
// use the reserve in that client's share, and the oldest of all that in the sum.
func (m *Memory) grant() {
	if m.waiting.Len() == 0 {
		return
	}
	oldest := make(map[*share]*Lease)
	var first *Lease
	for at := m.waiting.Front(); at != nil; at = at.Next() {
		l := at.Value.(*waiter).lease
		if l.held == 0 {
			continue // nobody waits for it
		}
		if o := oldest[l.share]; o == nil || l.serial < o.serial {
			oldest[l.share] = l
		}
		if first == nil || l.serial < first.serial {
			first = l
		}
	}
	var full [2]bool // in sum: without the reserve, with it
	for at := m.waiting.Front(); at != nil && !(full[0] && full[1]); {
		next := at.Next()
		w := at.Value.(*waiter)
		client := m.cfg.Client
		if !w.last && w.lease.held > 0 && oldest[w.lease.share] != w.lease {
			client -= min(m.cfg.Reserve, m.cfg.Client/2)
		}
		last := w.last || w.lease == first
		class := 0
		if last {
			class = 1
		}
		switch {
		case full[class] || w.lease.share.used+w.n > client:
		case m.used+w.n > m.limit(last):
			full[class] = true
		default:
			w.lease.add(w.n)
			m.waiting.Remove(at)
			close(w.granted)
		}
		at = next
	}
}
