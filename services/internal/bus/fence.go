package bus

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/openclaw-security/bus/proto"
)

// MaxBatchBytes bounds the messages of one [Fence.Publish] together, headers
// included. The server stages a batch before it commits it, and while it does
// so the stream's other publishers wait.
const MaxBatchBytes = 8 << 20

// Headers of the parts of an atomic batch (nats-server ADR-50).
const (
	headerBatchID       = "Nats-Batch-Id"
	headerBatchSequence = "Nats-Batch-Sequence"
	headerBatchCommit   = "Nats-Batch-Commit"
)

// Fence publishes under a subject filter on the condition that nobody else has
// published there since: a retry, a second process or a message that was long
// under way cannot get in between or twice. It is not safe for concurrent use.
type Fence struct {
	conn   *Conn
	stream string
	filter string
	last   uint64 // sequence of the last message under filter; 0 for none
	armed  bool   // last is known
}

// NewFence returns a fence for what stream has stored under filter, a pattern of
// stored subjects ([proto.SourceFilter]). Everything published through the
// fence must fall under the filter. Call Last before Publish.
func NewFence(conn *Conn, stream, filter string) *Fence {
	return &Fence{conn: conn, stream: stream, filter: filter}
}

// Last returns the last message stored under the filter, nil if there is none,
// and makes the fence expect the next publish right behind it. In a replicated
// stream the reply can be a moment old; Publish then returns [ErrFenced].
func (f *Fence) Last(ctx context.Context) (*Stored, error) {
	f.armed = false
	last, err := f.conn.lastBySubject(ctx, f.stream, f.filter)
	if err != nil {
		return nil, fmt.Errorf("looking up the last message under %s: %w", f.filter, err)
	}
	f.last, f.armed = 0, true
	if last != nil {
		f.last = last.Sequence
	}
	return last, nil
}

// Settle waits until the stream has dealt with what was published to it before: by a
// process that was killed, for instance, with a publish under way. It does so with a
// message of that class that the stream cannot store, since it deals with messages in
// the order in which they come, but answers questions in between.
func (f *Fence) Settle(ctx context.Context, class proto.Class) error {
	tokens := strings.Split(f.filter, ".")
	if len(tokens) != 5 {
		return fmt.Errorf("settling %s: %s is not the filter of a source", f.stream, f.filter)
	}
	severity := proto.SeverityInfo
	if class == proto.ClassAlert {
		severity = proto.SeverityLow
	}
	msg := nats.NewMsg(proto.NewSubject(tokens[2], tokens[3], proto.KindOther, severity).Ingest())
	msg.Header.Set(jetstream.ExpectedStreamHeader, f.stream)
	msg.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(math.MaxUint64, 10))
	msg.Header.Set(jetstream.ExpectedLastSubjSeqSubjHeader, f.filter)
	if _, err := f.conn.store(ctx, []*nats.Msg{msg}); !errors.Is(err, ErrFenced) {
		return fmt.Errorf("waiting for what was published to %s before: %w", f.stream, err)
	}
	return nil
}

// tailWindow is how many sequences before the last one Tail looks at first. A round
// of a source is within it unless other hosts publish much more to the stream.
const tailWindow = 1200

// Tail returns the newest messages under the filter, up to last, oldest first: those
// since the newest one that keep refuses. keep may take from a message what need not
// be held. It may see a message more than once.
func (f *Fence) Tail(ctx context.Context, last *Stored, keep func(*Stored) bool) ([]*Stored, error) {
	if last == nil {
		return nil, nil
	}
	for window := uint64(tailWindow); ; window *= 4 {
		start := Start{Sequence: max(last.Sequence, window) - window + 1}
		var tail []*Stored
		refused := false
		for s, err := range f.conn.History(ctx, f.stream, f.filter, start) {
			if err != nil {
				return nil, fmt.Errorf("reading the last messages under %s: %w", f.filter, err)
			}
			if s.Sequence > last.Sequence {
				break
			}
			if keep(s) {
				tail = append(tail, s)
			} else {
				tail, refused = nil, true
			}
		}
		if refused || start.Sequence == 1 {
			return tail, nil
		}
	}
}

// Publish makes one attempt to store msgs in order, all or none, right behind
// the message that the fence expects, and waits for the acknowledgement, up
// to ten seconds. It sets and removes NATS headers of the messages, which
// must have no Nats-Msg-Id, and keeps nothing of them.
//
//   - nil: stored durably. The next publish is expected behind them.
//   - [ErrFenced]: not stored. The last message under the filter is not the
//     expected one: someone else published, or an earlier attempt that ended
//     with ErrMaybeStored got there after all, or retention has removed the
//     expected message (the server takes that for a mismatch too).
//   - [ErrMaybeStored]: unknown; the acknowledgement is missing.
//   - any other error: not stored.
//
// After ErrFenced and ErrMaybeStored, Publish works again only once Last has
// returned the filter's last message: compare it with what was published.
func (f *Fence) Publish(ctx context.Context, msgs []*nats.Msg) error {
	if !f.armed {
		return errors.New("publishing without knowing the last message: call Last first")
	}
	if err := checkBatch(msgs); err != nil {
		return err
	}
	f.address(msgs)
	a, err := f.conn.store(ctx, msgs)
	if err != nil {
		f.armed = !errors.Is(err, ErrFenced) && !errors.Is(err, ErrMaybeStored)
		return fmt.Errorf("publishing %d messages to %s: %w", len(msgs), f.stream, err)
	}
	f.last = a.Sequence
	return nil
}

func checkBatch(msgs []*nats.Msg) error {
	if len(msgs) == 0 || len(msgs) > proto.MaxBatch {
		return fmt.Errorf("publishing %d messages at once: 1 to %d are possible", len(msgs), proto.MaxBatch)
	}
	size := 0
	for _, m := range msgs {
		size += messageSize(m)
	}
	if len(msgs) > 1 && size > MaxBatchBytes {
		return fmt.Errorf("%w: %d messages of together %d bytes, where a batch takes %d", ErrTooLarge, len(msgs), size, MaxBatchBytes)
	}
	return nil
}

// address sets the headers that make msgs one conditional publish. Those of an
// earlier attempt go first: it may have grouped the messages differently.
func (f *Fence) address(msgs []*nats.Msg) {
	for _, m := range msgs {
		if m.Header == nil {
			m.Header = nats.Header{}
		}
		for _, h := range []string{
			jetstream.ExpectedStreamHeader,
			jetstream.ExpectedLastSubjSeqHeader,
			jetstream.ExpectedLastSubjSeqSubjHeader,
			headerBatchID,
			headerBatchSequence,
			headerBatchCommit,
		} {
			m.Header.Del(h)
		}
	}
	first, last := msgs[0].Header, msgs[len(msgs)-1].Header
	first.Set(jetstream.ExpectedStreamHeader, f.stream)
	first.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(f.last, 10))
	// The server looks this up among what it has stored. A subject as it was
	// published would match nothing, and nothing would be checked.
	first.Set(jetstream.ExpectedLastSubjSeqSubjHeader, f.filter)
	if len(msgs) == 1 {
		return
	}
	id := []string{nuid.Next()} // which the messages share
	for i, m := range msgs {
		m.Header[headerBatchID] = id
		m.Header.Set(headerBatchSequence, strconv.Itoa(i+1))
	}
	last.Set(headerBatchCommit, "1")
}
