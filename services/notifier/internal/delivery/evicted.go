package delivery

import (
	"context"
	"fmt"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
)

// maxAbove bounds what seen remembers, in sequences.
const maxAbove = 1 << 16

// allAlerts are the subjects of [proto.StreamAlerts].
const allAlerts = proto.StoredPrefix + "." + string(proto.ClassAlert) + ".>"

// seen knows which sequences have been fetched. Between them the lanes fetch
// every one, each lane in order, one ahead of the other: a sequence that the
// stream does not have any more and that was never fetched is an alert lost.
type seen struct {
	known   bool // through is known; false for a sink that is new
	through uint64
	above   map[uint64]struct{} // fetched, above through
	highest uint64
	inexact bool // some that were fetched are not in above
}

func (s *seen) add(sequence uint64) {
	s.highest = max(s.highest, sequence)
	switch {
	case sequence <= s.through:
	case len(s.above) < maxAbove:
		if s.above == nil {
			s.above = make(map[uint64]struct{})
		}
		s.above[sequence] = struct{}{}
		s.advance()
	default:
		s.inexact = true
	}
}

func (s *seen) advance() {
	for {
		if _, ok := s.above[s.through+1]; !ok {
			return
		}
		delete(s.above, s.through+1)
		s.through++
	}
}

// first notes that the stream now begins at sequence, and returns how many
// that were never fetched are gone; upTo says that some of them may have been.
func (s *seen) first(sequence uint64) (lost uint64, upTo bool) {
	if sequence <= s.through+1 {
		return 0, false
	}
	lost = sequence - 1 - s.through
	for at := range s.above {
		if at < sequence {
			lost--
			delete(s.above, at)
		}
	}
	s.through = sequence - 1
	s.advance()
	if !s.known {
		return 0, false
	}
	return lost, s.inexact
}

// all notes that the lanes have nothing left: what was not fetched below the
// highest that was is no alert for this sink, or was deleted.
func (s *seen) all() {
	*s = seen{known: s.known || s.highest > 0, through: max(s.through, s.highest), highest: s.highest}
}

// recognise takes up what an earlier process has seen, if the stream is still the
// same: the sequences of one that was made anew begin again.
func (d *Delivery) recognise(ctx context.Context) error {
	for retry := newRetry(); ; {
		created, err := d.Conn.Created(ctx, proto.StreamAlerts)
		switch {
		case err == nil && created.Equal(d.state.Stream):
			// What was fetched above is not known any more.
			d.seen = seen{known: d.state.Through > 0, through: d.state.Through, inexact: true}
			return nil
		case err == nil:
			d.state.Stream, d.state.Through = created, 0
			d.seen = seen{}
			return nil
		case bus.Permanent(err):
			return fmt.Errorf("recognising the alerts' stream: %w", err)
		}
		d.Log.Warn("recognising the alerts' stream is delayed", "err", err)
		if err := retry.wait(ctx); err != nil {
			return err
		}
	}
}

// settledThrough is the sequence up to which everything was acknowledged, or was
// lost and noted; 0 if it is not known.
func (d *Delivery) settledThrough() uint64 {
	if !d.seen.known {
		return 0
	}
	through := d.seen.through
	if lowest, ok := d.lowest(); ok {
		through = min(through, lowest-1)
	}
	return through
}

// unsettled is the least sequence that may not have been dealt with.
func (d *Delivery) unsettled() uint64 {
	if through := d.settledThrough(); through > 0 {
		return through + 1
	}
	if lowest, ok := d.lowest(); ok {
		return lowest
	}
	return d.seen.highest + 1
}

// lowest is the least sequence that is held or in the plan.
func (d *Delivery) lowest() (sequence uint64, ok bool) {
	if p := d.state.Plan; p != nil && len(p.Ranges) > 0 {
		sequence, ok = p.Ranges[0].First, true
	}
	for _, l := range d.lanes {
		if l == nil {
			continue
		}
		if s, held := l.pile.lowest(); held && (!ok || s < sequence) {
			sequence, ok = s, true
		}
	}
	return sequence, ok
}

// lookForLost finds out whether retention has removed alerts that were never
// fetched.
func (d *Delivery) lookForLost(ctx context.Context) error {
	first := uint64(0)
	for m, err := range d.Conn.History(ctx, proto.StreamAlerts, allAlerts, bus.Start{}) {
		if err != nil {
			return d.absent(ctx, err)
		}
		first = m.Sequence
		break
	}
	if lost, upTo := d.seen.first(first); lost > 0 {
		d.metrics.evicted.Add(float64(lost))
		d.Log.Error("retention has removed alerts that were not delivered", "alerts", lost, "maybe_fewer", upTo)
		d.state.Notes.Evicted += int(min(lost, 1<<40))
		d.state.Notes.UpTo = d.state.Notes.UpTo || upTo
		return d.put(ctx)
	}
	return nil
}
