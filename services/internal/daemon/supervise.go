package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Docker kills a container 10 s after it asked it to stop. Both bounds stay
// under that, and the process's over its services', so that the line that names
// what hangs is still written.
const (
	// ServiceGrace is how long a service may take to stop.
	ServiceGrace = 8 * time.Second
	processGrace = 9 * time.Second
)

// A task is something that runs until its context is done.
type task struct {
	name string
	run  func(ctx context.Context) error
}

// supervise runs tasks until all have returned, or until grace has passed since
// ctx was done or one of them failed. It returns what failed, joined.
func supervise(ctx context.Context, grace time.Duration, tasks ...task) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	type result struct {
		name string
		err  error
	}
	// Room for every result, so that an abandoned task does not block for ever
	// once it does end.
	results := make(chan result, len(tasks))
	var running []string
	for _, t := range tasks {
		running = append(running, t.name)
		go func() { results <- result{t.name, t.run(ctx)} }()
	}

	var errs []error
	var expired <-chan time.Time
	stopped := ctx.Done()
	for len(running) > 0 {
		select {
		case r := <-results:
			i := slices.Index(running, r.name)
			running = slices.Delete(running, i, i+1)
			// That a task passes on the end of its context is no failure.
			if r.err != nil && (ctx.Err() == nil || !onlyCanceled(r.err)) {
				errs = append(errs, fmt.Errorf("running %s: %w", r.name, r.err))
				cancel()
			}
		case <-stopped:
			stopped = nil
			timer := time.NewTimer(grace)
			defer timer.Stop()
			expired = timer.C
		case <-expired:
			errs = append(errs, fmt.Errorf("%s did not stop within %s", strings.Join(running, ", "), grace))
			return errors.Join(errs...)
		}
	}
	return errors.Join(errs...)
}

// onlyCanceled reports whether err says nothing but that a context was done. An
// error that joins this with, say, one of a last flush says more.
func onlyCanceled(err error) bool {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return !slices.ContainsFunc(joined.Unwrap(), func(err error) bool { return !onlyCanceled(err) })
	}
	if wrapped := errors.Unwrap(err); wrapped != nil {
		return onlyCanceled(wrapped)
	}
	return err == context.Canceled
}
