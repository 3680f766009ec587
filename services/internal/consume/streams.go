package consume

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/retry"
)

// pollInterval is how often streams that were added are looked for.
const pollInterval = 15 * time.Second

// EachAlert is [Each] for the alerts of all streams that hold some
// ([bus.Conn.AlertStreams]), those included that are added meanwhile. durable names
// what to consume in a stream; Options.Durable is not used. The alerts of a stream
// are handled in order, and handle is called for one alert at a time. One that has to
// be repeated keeps back the alerts of its own stream only.
//
// A stream that cannot be read keeps none of the others back: Ready is called with the
// reason, and reading it is tried again. An error is returned if none can be read.
func EachAlert(ctx context.Context, o Options, durable func(stream string) proto.Consumer, handle func(context.Context, Message) error) error {
	if o.Ready == nil {
		o.Ready = func(error) {}
	}
	group, ctx := errgroup.WithContext(ctx)
	r := &streams{o: o, durable: durable, group: group, reading: make(map[string]bool), states: make(map[string]error)}
	var handling sync.Mutex
	r.handle = func(ctx context.Context, m Message) error {
		handling.Lock()
		defer handling.Unlock()
		return handle(ctx, m)
	}
	group.Go(func() error { return r.watch(ctx) })
	err := group.Wait()
	if errors.Is(err, errEnded) {
		return nil
	}
	return err
}

// errEnded is why the loops end when their context does.
var errEnded = errors.New("ended")

// streams is one call of EachAlert.
type streams struct {
	o       Options
	durable func(stream string) proto.Consumer
	handle  func(context.Context, Message) error
	group   *errgroup.Group

	mu      sync.Mutex
	reading map[string]bool
	states  map[string]error // by stream: why its alerts cannot be handled, if they cannot
}

// watch starts a loop for each stream that is found.
func (r *streams) watch(ctx context.Context) error {
	policy := retry.Policy{Min: minBackoff, Max: maxBackoff, OnRetry: func(err error, wait time.Duration) {
		r.o.Log.Warn("looking for the streams of alerts is delayed", "err", err, "retry_in", wait)
	}}
	for {
		err := retry.Do(ctx, policy, func(ctx context.Context) error {
			names, err := r.o.Conn.AlertStreams(ctx)
			if bus.Permanent(err) {
				return retry.Permanent(err)
			}
			if err == nil {
				r.start(ctx, names)
			}
			return err
		})
		if err == nil {
			err = r.readable()
		}
		if err == nil {
			err = retry.Sleep(ctx, pollInterval)
		}
		switch {
		case ctx.Err() != nil:
			return errEnded
		case err != nil:
			return fmt.Errorf("reading the streams of alerts: %w", err)
		}
	}
}

// start starts the loops of the named streams that are not read yet.
func (r *streams) start(ctx context.Context, names []string) {
	r.forget(names)
	for _, name := range names {
		if r.isReading(name) {
			continue
		}
		o := r.o
		o.Durable = r.durable(name)
		o.Ready = func(err error) { r.report(name, true, err) }
		// Bound here, so that it is known afterwards whether any stream can be read.
		if _, err := o.Conn.AwaitBind(ctx, name, o.Durable.Durable); err != nil {
			r.fail(ctx, name, err)
			continue
		}
		r.report(name, true, nil)
		r.group.Go(func() error {
			err := Each(ctx, o, r.handle)
			switch {
			case err == nil:
				return errEnded
			case errors.Is(err, bus.ErrNotProvisioned):
				r.fail(ctx, name, err)
				return r.readable()
			}
			return err
		})
	}
}

// fail notes that a stream is not read.
func (r *streams) fail(ctx context.Context, name string, err error) {
	if ctx.Err() != nil {
		return
	}
	if !r.isFaulty(name) {
		r.o.Log.Error("a stream of alerts cannot be read", "stream", name, "err", err)
	}
	r.report(name, false, fmt.Errorf("alerts of stream %s are not delivered: %w", name, err))
}

// report notes whether a stream is read, and why its alerts cannot be handled, if so.
func (r *streams) report(name string, reading bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reading[name], r.states[name] = reading, err
	r.o.Ready(Unread(r.states))
}

func (r *streams) isFaulty(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.reading[name] && r.states[name] != nil
}

func (r *streams) isReading(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reading[name]
}

// forget forgets streams that are not among the named ones any more.
func (r *streams) forget(names []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.states, func(name string, _ error) bool { return !r.reading[name] && !slices.Contains(names, name) })
}

// Unread joins the reasons why streams of alerts cannot be read, by stream, for the
// readiness of a sink. A stream that the role has no rights to is of a source that is
// not configured any more: that is no reason.
func Unread(reasons map[string]error) error {
	var all []error
	for _, name := range slices.Sorted(maps.Keys(reasons)) {
		var permission *bus.PermissionError
		if err := reasons[name]; !errors.As(err, &permission) {
			all = append(all, err)
		}
	}
	return errors.Join(all...)
}

// readable is an error if no stream can be read.
func (r *streams) readable() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, reading := range r.reading {
		if reading {
			return nil
		}
	}
	if err := errors.Join(slices.Collect(maps.Values(r.states))...); err != nil {
		return err
	}
	return fmt.Errorf("there is none: %w", bus.ErrNotProvisioned)
}
