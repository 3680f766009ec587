package auditor

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/auditor/internal/chain"
	"github.com/openclaw-security/bus/services/internal/bus"
)

// History is what verifying needs of [bus.Conn].
type History interface {
	History(ctx context.Context, stream, filter string, start bus.Start) iter.Seq2[*bus.Stored, error]
	MergedHistory(ctx context.Context, streams []string, filter string, start bus.Start) iter.Seq2[*bus.Stored, error]
	SecurityStreams(ctx context.Context) ([]string, error)
}

// VerifyOptions say how to verify. All fields may be zero.
type VerifyOptions struct {
	// PublicKey is a file with the log's public key from where it has been kept. The
	// one beside the log proves less.
	PublicKey string
	// NewLog says that the log was begun anew on purpose: that the bus knows of
	// another is no fault.
	NewLog bool
	// Progress, if set, is called with how many of the bytes on disk have been read.
	Progress func(done, total int64)
}

// Verification is what the log was compared with, and what was found.
type Verification struct {
	chain.Result
	Stream *Agreement `json:"stream,omitempty"` // nil if there was no bus to compare with
}

// Agreement says how the log and the bus agree.
type Agreement struct {
	Checkpoints int      `json:"checkpoints"` // of this log on the bus, that were held against it
	OtherLogs   []string `json:"other_logs"`  // of which there are checkpoints on the bus, too
	Faults      []string `json:"faults"`      // what the checkpoints say against the log as a whole
	Compared    int      `json:"compared"`    // records that both have, with the same content
	Waiting     int      `json:"waiting"`     // in the stream, behind the log's end
	Older       int      `json:"older"`       // records of the log from before the stream's oldest, which nothing can be said of
	Younger     bool     `json:"younger"`     // the stream was made after some of those were logged
	Differences []string `json:"differences"` // the first ones, at most 100
	Count       int      `json:"count"`       // all
}

// OK reports whether nothing was found.
func (v *Verification) OK() bool {
	return v.Result.OK() && (v.Stream == nil || v.Stream.Count == 0 && len(v.Stream.Faults) == 0)
}

// Verify checks all of the log, and if there is a bus, that it agrees with the
// stream and with the checkpoints that were published. A signed log of which the
// bus has no checkpoint, and one beside which the bus knows another, can have been put in
// the place of the right one.
func (r Reader) Verify(ctx context.Context, on History, o VerifyOptions) (*Verification, error) {
	if _, err := os.Stat(logDir(r.Dir)); err != nil {
		return nil, fmt.Errorf("%s: %w", r.Dir, ErrNoLog)
	}
	options := chain.VerifyOptions{Progress: o.Progress}
	if o.PublicKey != "" {
		var err error
		if options.PublicKey, err = chain.ReadPublicKey(o.PublicKey); err != nil {
			return nil, fmt.Errorf("reading the public key: %w", err)
		}
	}
	var others []string
	if on != nil {
		all, err := checkpoints(ctx, on)
		if err != nil {
			return nil, err
		}
		// What was published about another log says nothing about this one, but that
		// there has been another.
		for _, c := range all {
			switch own := logID(r.Dir); {
			case own == "" || c.Log == own:
				options.Checkpoints = append(options.Checkpoints, c)
			case !slices.Contains(others, c.Log):
				others = append(others, c.Log)
			}
		}
	}
	v := &Verification{}
	var err error
	if v.Result, err = chain.Verify(ctx, logDir(r.Dir), options); err != nil || on == nil {
		return v, err
	}
	if v.Stream, err = r.compare(ctx, on); err != nil {
		return v, err
	}
	v.Stream.Checkpoints, v.Stream.OtherLogs, v.Stream.Faults = len(options.Checkpoints), others, []string{}
	if v.Signed > 0 && v.Stream.Checkpoints == 0 {
		v.Stream.Faults = append(v.Stream.Faults, "the log is signed, and the bus has no checkpoint of it: this is another log than the one that was published, or the bus has lost its checkpoints; a running auditor publishes one within AUDIT_CHECKPOINT_EVERY")
	}
	if !o.NewLog {
		for _, other := range others {
			v.Stream.Faults = append(v.Stream.Faults, fmt.Sprintf("the bus has checkpoints of another log, %.64q: was this one begun anew (then verify with --new-log), or put in its place?", other))
		}
	}
	return v, nil
}

// logID is the id of the log in dir, as its own last checkpoint has it; empty if
// there is none.
func logID(dir string) string {
	text, err := os.ReadFile(filepath.Join(logDir(dir), "checkpoints.jsonl"))
	if err != nil {
		return ""
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	var c chain.Checkpoint
	if json.Unmarshal(lines[len(lines)-1], &c) != nil {
		return ""
	}
	return c.Log
}

// checkpointFilter is the pattern of the checkpoints that auditors have published.
const checkpointFilter = proto.StoredPrefix + "." + string(proto.ClassEvent) + ".*." + bus.RoleAuditor + "." + KindCheckpoint + ".*"

// holdingCheckpoints returns those of the streams that hold checkpoints: before there was a
// stream for them, they were among the events.
func holdingCheckpoints(streams []string) []string {
	return slices.DeleteFunc(slices.Clone(streams), func(name string) bool {
		return name != proto.StreamCheckpoints && name != proto.StreamSecurity
	})
}

// checkpoints reads the statements that auditors have published.
func checkpoints(ctx context.Context, on History) ([]chain.Checkpoint, error) {
	streams, err := on.SecurityStreams(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the checkpoints on the bus: %w", err)
	}
	var all []chain.Checkpoint
	for m, err := range on.MergedHistory(ctx, holdingCheckpoints(streams), checkpointFilter, bus.Start{}) {
		if err != nil {
			return nil, fmt.Errorf("reading the checkpoints on the bus: %w", err)
		}
		if c, ok := readCheckpoint(m); ok {
			all = append(all, c)
		}
	}
	return all, nil
}

// readCheckpoint reads a checkpoint from the bus; false if it is none.
func readCheckpoint(m *bus.Stored) (c chain.Checkpoint, ok bool) {
	var e proto.Event
	ok = json.Unmarshal(m.Data, &e) == nil && json.Unmarshal(e.Raw, &c) == nil && len(c.Signature) == ed25519.SignatureSize
	return c, ok
}

// logged is what is compared of a record.
type logged struct {
	stream uint64
	stored time.Time
	hash   [16]byte // of the payload
	seen   bool
}

const maxDifferences = 100

// compare holds the log against the stream, as far back as the stream goes.
func (r Reader) compare(ctx context.Context, on History) (*Agreement, error) {
	a := &Agreement{Differences: []string{}}
	differ := func(format string, args ...any) {
		a.Count++
		if len(a.Differences) < maxDifferences {
			a.Differences = append(a.Differences, fmt.Sprintf(format, args...))
		}
	}
	records, err := r.logged(ctx)
	if err != nil {
		return nil, err
	}
	var first *bus.Stored
	var last uint64 // message of the stream that is in the log
	for m, err := range on.History(ctx, proto.StreamAudit, proto.StoredPrefix+".>", bus.Start{}) {
		if err != nil {
			return nil, fmt.Errorf("reading the stream: %w", err)
		}
		if first == nil {
			first = m
			for _, l := range records {
				// The sequences of a stream that was made anew begin again.
				if !l.stored.Before(first.Time) {
					last = max(last, l.stream)
				}
			}
		}
		id := record(m.Header.Get(proto.HeaderEventID), m.Sequence, m.Time, m.Data).ID
		l, ok := records[id]
		switch {
		case !ok && m.Sequence > last:
			a.Waiting++
		case !ok:
			differ("message %d of %s (%s) is not in the log", m.Sequence, proto.StreamAudit, id)
		case l.hash != digest(m.Data):
			differ("message %d of %s (%s) is not what the log has under that id", m.Sequence, proto.StreamAudit, id)
		default:
			a.Compared++
		}
		if ok {
			l.seen = true
			records[id] = l
		}
	}
	for id, l := range records {
		switch {
		case l.seen:
		case first == nil || l.stored.Before(first.Time):
			// Retention has removed it from the stream, or the stream is younger.
			a.Older++
			a.Younger = a.Younger || first != nil && l.stream >= first.Sequence
		default:
			differ("record %s of the log (message %d) is not in the stream", id, l.stream)
		}
	}
	return a, nil
}

// logged reads what there is to compare.
func (r Reader) logged(ctx context.Context) (map[string]logged, error) {
	records := make(map[string]logged)
	for record, err := range chain.Scan(logDir(r.Dir), 1) {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err != nil {
			continue // Verify has reported it
		}
		records[record.ID] = logged{stream: record.StreamSeq, stored: record.Stored, hash: digest(record.Payload)}
	}
	return records, nil
}

func digest(payload []byte) [16]byte {
	sum := sha256.Sum256(payload)
	return [16]byte(sum[:16])
}
