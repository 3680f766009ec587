package notifier

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/kv"
	"github.com/openclaw-security/bus/services/notifier/internal/sink"
)

// releaseGrace bounds how long the end of a notifier waits for its leases to be
// released. One that is not released ends by itself.
const releaseGrace = time.Second

// names are the sinks, in the order in which they are configured.
func names(all []sink.Opened) []string {
	var names []string
	for _, opened := range all {
		for _, c := range opened.Chats {
			names = append(names, c.Name())
		}
		for _, s := range opened.Sinks {
			names = append(names, s.Name())
		}
	}
	return names
}

// whileHeld calls work once the leases of all sinks are held, renews them until it
// returns, and then releases them, so that the next notifier need not wait. It
// returns an error that wraps [kv.ErrHeld] if another notifier has one of them; work's
// context ends when one is lost.
func (n *notifier) whileHeld(ctx context.Context, sinks []string, work func(context.Context) error) error {
	for _, name := range sinks {
		n.rt.Ready.Expect(name)
	}
	all := make(chan *kv.Lease, len(sinks))
	group, inner := errgroup.WithContext(ctx)
	for _, name := range sinks {
		group.Go(func() error {
			l, err := kv.Acquire(inner, kv.LeaseOptions{
				Store: n.conn,
				Key:   proto.KeyDeliveryLease(name),
				What:  "another notifier delivers to " + name,
				Log:   n.log,
			})
			if err == nil {
				all <- l
				err = l.Keep(inner)
			}
			if errors.Is(err, kv.ErrHeld) {
				n.rt.Ready.Set(name, err)
			}
			return err
		})
	}
	var held []*kv.Lease
	group.Go(func() error {
		for range sinks {
			select {
			case l := <-all:
				held = append(held, l)
			case <-inner.Done():
				return nil
			}
		}
		err := work(inner)
		if err == nil {
			err = errDone // ends the renewals
		}
		return err
	})
	err := group.Wait()
	for len(all) > 0 {
		held = append(held, <-all)
	}
	release(ctx, held)
	if errors.Is(err, errDone) || ctx.Err() != nil && !errors.Is(err, kv.ErrHeld) {
		return nil
	}
	return err
}

var errDone = errors.New("done")

func release(ctx context.Context, held []*kv.Lease) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseGrace)
	defer cancel()
	for _, l := range held {
		l.Release(ctx)
	}
}

// registered remembers what was registered, so that a session that follows another
// in the same process can register its own.
type registered struct {
	prometheus.Registerer

	mu  sync.Mutex
	all []prometheus.Collector
}

// Register implements [prometheus.Registerer].
func (r *registered) Register(c prometheus.Collector) error {
	err := r.Registerer.Register(c)
	if err == nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.all = append(r.all, c)
	}
	return err
}

// MustRegister implements [prometheus.Registerer].
func (r *registered) MustRegister(all ...prometheus.Collector) {
	for _, c := range all {
		if err := r.Register(c); err != nil {
			panic(err) // as its documentation says
		}
	}
}

func (r *registered) unregister() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.all {
		r.Unregister(c)
	}
	r.all = nil
}
