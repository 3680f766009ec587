// Package retry repeats what may fail for a while and waits between attempts.
package retry

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// Policy says how long to wait between attempts. The wait doubles from Min to
// Max, and half of each is random so that processes that failed together do not
// return together.
type Policy struct {
	Min, Max time.Duration

	// OnRetry is called before each wait, with the error that caused it; nil
	// for nobody.
	OnRetry func(err error, wait time.Duration)
}

// Permanent marks an error after which [Do] does not try again. Mark the
// outermost error: Do returns err itself, without what wraps the mark.
func Permanent(err error) error { return backoff.Permanent(err) }

// After marks an error after which [Do] waits for at least d, however short its
// policy's wait is.
func After(err error, d time.Duration) error { return &afterError{err, d} }

type afterError struct {
	error
	wait time.Duration
}

func (e *afterError) Unwrap() error { return e.error }

// waits are those of a policy, but for the next one, which has a minimum.
type waits struct {
	backoff.ExponentialBackOff
	next time.Duration
}

func (w *waits) NextBackOff() time.Duration { return max(w.ExponentialBackOff.NextBackOff(), w.next) }

// Do calls attempt until it returns nil, a [Permanent] error, or ctx ends. It
// returns the permanent error or the cause of ctx's end.
func Do(ctx context.Context, p Policy, attempt func(context.Context) error) error {
	w := &waits{ExponentialBackOff: backoff.ExponentialBackOff{InitialInterval: p.Min, MaxInterval: p.Max, Multiplier: 2, RandomizationFactor: 0.5}}
	options := []backoff.RetryOption{backoff.WithBackOff(w), backoff.WithMaxElapsedTime(0)}
	if p.OnRetry != nil {
		options = append(options, backoff.WithNotify(p.OnRetry))
	}
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		err := attempt(ctx)
		w.next = 0
		var permanent *backoff.PermanentError
		var after *afterError
		switch {
		case err == nil, errors.As(err, &permanent):
		case ctx.Err() != nil:
			err = backoff.Permanent(context.Cause(ctx))
		case errors.As(err, &after):
			w.next = after.wait
		}
		return struct{}{}, err
	}, options...)
	return err
}

// Sleep waits for d. It returns nil, or the cause of ctx's end if that comes
// first.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
