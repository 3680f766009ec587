package delivery

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
)

// claims is how often a claim is repeated that lost against a last write of the
// predecessor.
const claims = 5

// claim makes the sink's key this process's own: whoever had it finds out when it
// next writes. It restores the slots, and what the plan is now known to be.
func (d *Delivery) claim(ctx context.Context) error {
	for range claims {
		value, revision, err := d.get(ctx)
		if err != nil {
			return err
		}
		d.revision = revision
		if d.state, err = decode(value); err != nil {
			return fmt.Errorf("%w: if no newer program wrote it, remove key %s of bucket %s; alerts in flight are then sent again, unmarked", err, proto.KeyDelivery(d.name), proto.BucketState)
		}
		d.inherit()
		err = d.put(ctx)
		if !errors.Is(err, bus.ErrFenced) {
			return err
		}
	}
	return d.fenced()
}

// inherit takes over what another process has left in the state.
func (d *Delivery) inherit() {
	s := &d.state
	s.Version = stateVersion
	s.Instance = rand.Text()
	s.Writes = 0
	underWay := s.Plan != nil && s.Plan.UnderWay
	if underWay {
		s.Plan.MayRepeat, s.Plan.UnderWay = true, false
	}
	d.slots = slots{limits: d.Chat.Limits()}
	d.slots.limits.PerMinute = max(1, d.slots.limits.PerMinute)
	d.slots.restore(s.Slots, d.Clock, underWay)
	if s.Address != d.Address {
		s.Address = d.Address
		s.Place.Chat, s.Place.NoThread = "", false
	}
	d.settled = indexOf(s)
}

// get reads the key as soon as the bus answers.
func (d *Delivery) get(ctx context.Context) (value []byte, revision uint64, err error) {
	for retry := newRetry(); ; {
		value, revision, err = d.Conn.Get(ctx, proto.KeyDelivery(d.name))
		if err == nil || bus.Permanent(err) {
			return value, revision, err
		}
		d.notStored(err)
		if err := retry.wait(ctx); err != nil {
			return nil, 0, err
		}
	}
}

// put stores the state and returns when it is known to be stored. It waits out an
// absent bus. [bus.ErrFenced] says that another process has the key.
func (d *Delivery) put(ctx context.Context) error {
	d.state.Writes++
	d.metrics.planned.Set(0)
	if d.state.Plan != nil {
		d.metrics.planned.Set(1)
	}
	d.state.Slots = d.slots.log(d.Clock)
	if d.recognised {
		d.state.Through = d.settledThrough()
	}
	value, err := d.state.encode()
	if err != nil {
		return err
	}
	name := proto.KeyDelivery(d.name)
	for retry := newRetry(); ; {
		// Always the same bytes: an earlier attempt that arrives late is told by them.
		revision, err := d.Conn.Put(ctx, name, value, d.revision)
		switch {
		case err == nil:
			d.revision = revision
			d.notStored(nil)
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case bus.Permanent(err):
			return err
		case errors.Is(err, bus.ErrFenced), errors.Is(err, bus.ErrMaybeStored):
			have, revision, err := d.get(ctx)
			switch {
			case err != nil:
				return err
			case bytes.Equal(have, value):
				d.revision = revision
				d.notStored(nil)
				return nil
			case revision != d.revision:
				return d.fenced()
			}
		}
		d.notStored(err)
		if err := retry.wait(ctx); err != nil {
			return err
		}
	}
}

func (d *Delivery) fenced() error {
	return fmt.Errorf("key %s of bucket %s was written by another process, which delivers to the same chat: stop one of the two, or give their sinks different names: %w",
		proto.KeyDelivery(d.name), proto.BucketState, bus.ErrFenced)
}

// notStored notes why the state cannot be read or written, nil that it can.
func (d *Delivery) notStored(err error) {
	if err != nil {
		d.Log.Warn("keeping the plan is delayed", "err", err)
	}
	if (err == nil) != (d.stored == nil) {
		d.stored = err
		d.report()
	}
}
