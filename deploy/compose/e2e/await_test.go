package e2e

import (
	"context"
	"testing"
	"time"
)

// patience is how long anything that must come to pass may take.
const patience = 2 * time.Minute

// await returns when done says yes, and fails the test with the state that done
// last told if that takes too long.
func await(ctx context.Context, t *testing.T, what string, done func() (ok bool, state string)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, state := done()
		if ok {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waiting for %s: %v; last: %s", what, context.Cause(ctx), state)
		}
	}
}

// pass lets time go by while the load goes on.
func pass(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
