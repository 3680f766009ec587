package kv

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/retry"
)

// LeaseTerm is how long a lease outlives a holder that ended without releasing it,
// unless its successor can tell at once that it has ended.
const LeaseTerm = 10 * time.Second

// A holder renews its lease renewals times in a term.
const renewals = 5

// ErrHeld reports that another process holds a lease.
var ErrHeld = errors.New("another process holds the lease")

// Lease is what one process at a time holds: a key of the state bucket that the
// holder writes again and again. Who wants the lease watches the key for a
// term by its own clock, so that no clocks are compared; if the key does not change,
// its holder is gone.
//
// A holder that stood still for longer than a term, with its machine for example,
// may find out late that it has lost the lease. So what must never be done twice needs
// a compare-and-set of its own.
type Lease struct {
	o        LeaseOptions
	holder   Holder
	revision uint64
}

// LeaseOptions say which lease is wanted.
type LeaseOptions struct {
	Store Store
	Key   string
	// What is what the holder alone does, for the error of those that come later.
	What string
	Term time.Duration // 0 means [LeaseTerm]
	Log  *slog.Logger
}

// Holder is who holds a lease, the value of its key.
type Holder struct {
	Instance string    `json:"instance"` // random
	Host     string    `json:"host"`
	Machine  string    `json:"machine,omitempty"` // within which PID is unique; empty if not known
	PID      int       `json:"pid"`
	Renewed  time.Time `json:"renewed"` // by the holder's clock
}

// Acquire returns a lease that is free, or whose holder is gone. It waits out an
// absent bus. While somebody else renews the lease it returns an error that wraps
// [ErrHeld], after two renewals: the first may be one that a process sent before it
// was killed.
func Acquire(ctx context.Context, o LeaseOptions) (*Lease, error) {
	if o.Term == 0 {
		o.Term = LeaseTerm
	}
	l := &Lease{o: o, holder: self()}
	var seen uint64
	var since time.Time
	for changes := 0; ; {
		other, revision, err := l.load(ctx)
		if err != nil {
			return nil, err
		}
		switch {
		case other.Instance == l.holder.Instance: // a Put whose reply was lost
			l.revision = revision
			return l, nil
		case other.Instance == "" || other.gone() || revision == seen && time.Since(since) >= o.Term:
			err := l.put(ctx, revision)
			if err == nil {
				return l, nil
			}
			if bus.Permanent(err) || ctx.Err() != nil {
				return nil, fmt.Errorf("taking the lease %s: %w", o.Key, err)
			}
			o.Log.Warn("taking a lease is delayed", "lease", o.Key, "err", err)
		case revision != seen:
			if seen != 0 {
				changes++
			}
			if changes == 2 {
				return nil, l.held(other)
			}
			if seen == 0 {
				o.Log.Info("waiting for a lease to be renewed or to end", "lease", o.Key, "holder", other.String(), "for", o.Term)
			}
			seen, since = revision, time.Now()
		}
		if err := retry.Sleep(ctx, o.Term/(4*renewals)); err != nil {
			return nil, err
		}
	}
}

// Keep renews the lease until ctx ends, and then returns nil: the lease stays held
// until Release. It waits out an absent bus. It returns an error that wraps
// [ErrHeld] once somebody else has the lease. A key that was removed is set again.
func (l *Lease) Keep(ctx context.Context) error {
	for retry.Sleep(ctx, l.o.Term/renewals) == nil {
		err := l.put(ctx, l.revision)
		switch {
		case err == nil || ctx.Err() != nil:
			continue
		case bus.Permanent(err):
			return fmt.Errorf("renewing the lease %s: %w", l.o.Key, err)
		case !errors.Is(err, bus.ErrFenced) && !errors.Is(err, bus.ErrMaybeStored):
			l.o.Log.Warn("renewing a lease is delayed", "lease", l.o.Key, "err", err)
			continue
		}
		other, revision, err := l.load(ctx)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			return err
		case other.Instance != "" && other.Instance != l.holder.Instance:
			return l.held(other)
		default:
			l.revision = revision
		}
	}
	return nil
}

// Release lets the next process have the lease at once. Keep must have returned.
// Without it, or if ctx ends before, the next one has to wait.
func (l *Lease) Release(ctx context.Context) {
	_, err := l.o.Store.Put(ctx, l.o.Key, nil, l.revision)
	if errors.Is(err, bus.ErrFenced) { // by this process, when Keep was interrupted
		if other, revision, _ := l.load(ctx); other.Instance == l.holder.Instance {
			_, err = l.o.Store.Put(ctx, l.o.Key, nil, revision)
		}
	}
	if err != nil {
		l.o.Log.Debug("a lease was not released", "lease", l.o.Key, "err", err)
	}
}

// load reads the key as soon as the bus answers. What is not a holder is nobody.
func (l *Lease) load(ctx context.Context) (other Holder, revision uint64, err error) {
	policy := retry.Policy{Min: 100 * time.Millisecond, Max: l.o.Term / renewals, OnRetry: func(err error, wait time.Duration) {
		l.o.Log.Warn("reading a lease is delayed", "lease", l.o.Key, "err", err, "retry_in", wait)
	}}
	var value []byte
	err = retry.Do(ctx, policy, func(ctx context.Context) (err error) {
		value, revision, err = l.o.Store.Get(ctx, l.o.Key)
		if bus.Permanent(err) {
			return retry.Permanent(err)
		}
		return err
	})
	if err != nil {
		return Holder{}, 0, fmt.Errorf("reading the lease %s: %w", l.o.Key, err)
	}
	if json.Unmarshal(value, &other) != nil {
		return Holder{}, revision, nil
	}
	return other, revision, nil
}

// put makes one attempt to write the key.
func (l *Lease) put(ctx context.Context, revision uint64) error {
	l.holder.Renewed = time.Now().UTC()
	value, err := json.Marshal(l.holder)
	if err != nil {
		return fmt.Errorf("writing the lease: %w", err)
	}
	next, err := l.o.Store.Put(ctx, l.o.Key, value, revision)
	if err == nil {
		l.revision = next
	}
	return err
}

func (l *Lease) held(by Holder) error {
	return fmt.Errorf("%s already, and goes on: %s. Stop that process, or do not start this one: %w", l.o.What, by, ErrHeld)
}

// String tells a person where to look.
func (h Holder) String() string {
	return fmt.Sprintf("process %d on host %s, instance %s, renewed at %s", h.PID, h.Host, h.Instance, h.Renewed.UTC().Format(time.RFC3339))
}

// self is this process as a holder.
func self() Holder {
	h := Holder{Instance: rand.Text(), PID: os.Getpid(), Machine: machine()}
	h.Host, _ = os.Hostname() // for a person
	return h
}

// machine names what process ids are unique in: a run of a machine, and a namespace
// of ids in it, as a container has it. It is empty where that is not known.
func machine() string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	namespace, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(boot)) + " " + namespace
}

// gone reports whether the holder is known to have ended: it was a process of this
// machine and there is none of that id. Then nobody needs to wait for a term.
func (h Holder) gone() bool {
	if h.Machine == "" || h.Machine != machine() || h.PID <= 0 || h.PID == os.Getpid() {
		return false
	}
	p, err := os.FindProcess(h.PID)
	if err != nil {
		return false
	}
	return errors.Is(p.Signal(syscall.Signal(0)), os.ErrProcessDone)
}
