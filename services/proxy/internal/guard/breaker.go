package guard

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	// maxFailures in a row open the breaker.
	maxFailures = 5
	// openFor is how long it then stays so before one question tries again.
	openFor = 10 * time.Second
)

// ErrNotAsked is why there is no verdict while the guard is given a rest.
var ErrNotAsked = errors.New("the guard is not asked after failing repeatedly")

// errAbandoned ends a question of which nothing can be learned.
var errAbandoned = errors.New("abandoned")

// breaker keeps requests from waiting, each for the whole timeout, for a guard
// that does not answer.
//
//	closed ── 5 failures in a row ──▶ open ── 10 s ──▶ one question
//	  ▲                                ▲                 │     │
//	  └──────────── answer ────────────┼─────────────────┘     │
//	                                   └─────── failure ───────┘
type breaker struct {
	now     func() time.Time
	onState func(error)

	mu       sync.Mutex
	failures int       // in a row
	err      error     // why it is open; nil if it is closed
	until    time.Time // when an open one lets the next question through
	probing  bool      // one is under way
}

func newBreaker(now func() time.Time, onState func(error)) *breaker {
	if onState == nil {
		onState = func(error) {}
	}
	return &breaker{now: now, onState: onState}
}

// enter returns the function to call with the question's outcome, or why no
// question may be asked.
func (b *breaker) enter() (done func(error), err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil {
		return b.done, nil
	}
	if b.probing || b.now().Before(b.until) {
		return nil, b.err
	}
	b.probing = true
	return b.probed, nil
}

func (b *breaker) state() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

// done takes the outcome of a question asked while the breaker was closed.
func (b *breaker) done(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case errors.Is(err, errAbandoned) || b.err != nil:
		// Of those that were under way when it opened, none closes it: they may
		// have been asked long before.
	case err == nil:
		b.failures = 0
	default:
		b.failures++
		if b.failures >= maxFailures {
			b.open(err)
		}
	}
}

// probed takes the outcome of the question that tries again.
func (b *breaker) probed(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.probing = false
	switch {
	case errors.Is(err, errAbandoned):
	case err == nil:
		b.err, b.failures = nil, 0
		b.onState(nil)
	default:
		b.until = b.now().Add(openFor)
		b.err = fmt.Errorf("%w: %w", ErrNotAsked, err)
	}
}

func (b *breaker) open(err error) {
	b.err = fmt.Errorf("%w: %w", ErrNotAsked, err)
	b.until = b.now().Add(openFor)
	b.onState(b.err)
}
