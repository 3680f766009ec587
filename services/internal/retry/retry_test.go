package retry_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/openclaw-security/bus/services/internal/retry"
)

var errFails = errors.New("fails")

func TestDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var waits []time.Duration
		attempts := 0
		err := retry.Do(t.Context(), retry.Policy{
			Min: 100 * time.Millisecond, Max: time.Second,
			OnRetry: func(err error, wait time.Duration) {
				if !errors.Is(err, errFails) {
					t.Errorf("retried because of %v", err)
				}
				waits = append(waits, wait)
			},
		}, func(context.Context) error {
			if attempts++; attempts < 8 {
				return errFails
			}
			return nil
		})
		if err != nil || attempts != 8 || len(waits) != 7 {
			t.Fatalf("%d attempts, waits %v, error %v", attempts, waits, err)
		}
		if first, last := waits[0], waits[6]; first > 150*time.Millisecond+1 || last < 500*time.Millisecond || last > 1500*time.Millisecond+1 {
			t.Errorf("waits %v are not between Min and Max, give or take half", waits)
		}
	})
}

func TestAfterIsAMinimum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var waits []time.Duration
		attempts := 0
		err := retry.Do(t.Context(), retry.Policy{
			Min: time.Second, Max: time.Second,
			OnRetry: func(_ error, wait time.Duration) { waits = append(waits, wait) },
		}, func(context.Context) error {
			switch attempts++; attempts {
			case 1:
				return retry.After(errFails, time.Minute)
			case 2:
				return retry.After(errFails, time.Nanosecond)
			case 3:
				return errFails
			}
			return nil
		})
		if err != nil || len(waits) != 3 || waits[0] != time.Minute || waits[1] < time.Second/2 || waits[2] > 3*time.Second/2+1 {
			t.Errorf("waits %v, error %v", waits, err)
		}
	})
}

func TestAPermanentErrorOutlivesTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	err := retry.Do(ctx, retry.Policy{Min: time.Hour, Max: time.Hour}, func(context.Context) error {
		cancel()
		return retry.Permanent(errFails)
	})
	if err != errFails {
		t.Errorf("got %v", err)
	}
}

func TestDoEnds(t *testing.T) {
	t.Run("at a permanent error", func(t *testing.T) {
		attempts := 0
		err := retry.Do(t.Context(), retry.Policy{Min: time.Hour, Max: time.Hour}, func(context.Context) error {
			attempts++
			return retry.Permanent(errFails)
		})
		if err != errFails || attempts != 1 {
			t.Errorf("%d attempts, error %v", attempts, err)
		}
	})
	t.Run("with its context, while it waits and while it tries", func(t *testing.T) {
		for _, during := range []string{"wait", "attempt"} {
			ctx, cancel := context.WithCancelCause(t.Context())
			policy := retry.Policy{Min: time.Hour, Max: time.Hour}
			if during == "wait" {
				policy.OnRetry = func(error, time.Duration) { cancel(errFails) }
			}
			err := retry.Do(ctx, policy, func(ctx context.Context) error {
				if during == "attempt" {
					cancel(errFails)
				}
				return errors.New("another")
			})
			if !errors.Is(err, errFails) {
				t.Errorf("ended during the %s: %v", during, err)
			}
		}
	})
}
