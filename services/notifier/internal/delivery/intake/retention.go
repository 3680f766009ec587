package intake

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/notifier/internal/delivery/planner"
	"github.com/openclaw-security/bus/services/notifier/internal/delivery/store"
)

// maxAbove bounds what sequences remembers, in sequences.
const maxAbove = 1 << 16

// retention finds alerts that a stream has lost before they were fetched.
type retention struct {
	sequences // that were fetched of the stream that is there now

	stream  string
	created time.Time
	conn    *bus.Conn
	store   *store.Store
	queues  [2]*planner.Queue
	log     *slog.Logger
}

// recognize continues with the sequences that an earlier process has fetched, if the
// stream is still the same: the sequences of one that was made anew begin again.
func (r *retention) recognize(ctx context.Context) error {
	created, err := r.conn.Created(ctx, r.stream)
	if err != nil {
		return fmt.Errorf("recognizing stream %s: %w", r.stream, err)
	}
	r.created, r.sequences = created, sequences{}
	if p, ok := r.store.Streams[r.stream]; ok && p.Created.Equal(created) {
		// What was fetched above is not known any more.
		r.sequences = sequences{known: p.Through > 0, through: p.Through, inexact: true}
	}
	return nil
}

// find finds out how many alerts retention has removed that were never fetched, and
// notes them in the state.
func (r *retention) find(ctx context.Context) (lost uint64, err error) {
	oldest, err := r.conn.First(ctx, r.stream, allAlerts, bus.Start{})
	if err != nil || oldest == nil {
		return 0, err
	}
	lost, upTo := r.first(oldest.Sequence)
	if lost == 0 {
		return 0, nil
	}
	r.log.Error("retention has removed alerts that were not delivered", "stream", r.stream, "alerts", lost, "maybe_fewer", upTo)
	notes := &r.store.Notes
	notes.Evicted += int(min(lost, 1<<40))
	notes.UpTo = notes.UpTo || upTo
	return lost, nil
}

// refresh brings the stream's position in the state up to date.
func (r *retention) refresh(s *store.State) {
	if s.Streams == nil {
		s.Streams = make(map[string]store.Position)
	}
	s.Streams[r.stream] = store.Position{Created: r.created, Through: r.settledThrough()}
}

// settledThrough is the sequence up to which everything was acknowledged, or was
// lost and noted; 0 if it is not known.
func (r *retention) settledThrough() uint64 {
	if !r.sequences.known {
		return 0
	}
	through := r.sequences.through
	if lowest, ok := r.lowest(); ok {
		through = min(through, lowest-1)
	}
	return through
}

// lowest is the lowest sequence that waits or is in the plan.
func (r *retention) lowest() (sequence uint64, ok bool) {
	if p := r.store.Plan; p != nil {
		sequence, ok = p.Ranges.Lowest(r.stream)
	}
	for _, q := range r.queues {
		if s, waits := q.Lowest(r.stream); waits && (!ok || s < sequence) {
			sequence, ok = s, true
		}
	}
	return sequence, ok
}

// firstUnsettled is the lowest sequence that may not have been dealt with.
func (r *retention) firstUnsettled() uint64 {
	if through := r.settledThrough(); through > 0 {
		return through + 1
	}
	if lowest, ok := r.lowest(); ok {
		return lowest
	}
	return r.sequences.highest + 1
}

// sequences knows which sequences have been fetched. Between them the lanes fetch
// every one, each lane in order, one faster than the other: a sequence that the
// stream does not have any more and that was never fetched is an alert lost.
type sequences struct {
	known   bool // through is known; false for a sink that is new
	through uint64
	above   map[uint64]struct{} // fetched, above through
	highest uint64
	inexact bool // some that were fetched are not in above
}

func (s *sequences) add(sequence uint64) {
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

func (s *sequences) advance() {
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
func (s *sequences) first(sequence uint64) (lost uint64, upTo bool) {
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
// highest that was is not an alert for this sink, or was deleted.
func (s *sequences) all() {
	*s = sequences{known: s.known || s.highest > 0, through: max(s.through, s.highest), highest: s.highest}
}
