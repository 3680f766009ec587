package auditor

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
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
}

// Verification is what the log was compared with, and what was found.
type Verification struct {
	chain.Report
	Stream *Agreement `json:"stream,omitempty"` // nil if there was no bus to compare with
}

// Agreement says how the log and the stream agree.
type Agreement struct {
	Checkpoints int      `json:"checkpoints"` // on the bus, that were held against the log
	OtherLogs   []string `json:"other_logs"`  // of which there are checkpoints on the bus, too
	Compared    int      `json:"compared"`    // records that both have, with the same content
	Waiting     int      `json:"waiting"`     // in the stream, behind the log's end
	Differences []string `json:"differences"` // the first ones, at most 100
	Count       int      `json:"count"`       // all
}

// OK reports whether nothing was found.
func (v *Verification) OK() bool { return v.Report.OK() && (v.Stream == nil || v.Stream.Count == 0) }

// Verify checks all of the log, and if there is a bus, that it agrees with the
// stream and with the checkpoints that were published. publicKey is a file with
// the log's public key from where it has been kept; empty for the one beside the
// log, which proves less.
func (r Reader) Verify(ctx context.Context, on History, publicKey string, progress func(done, total int64)) (*Verification, error) {
	if _, err := os.Stat(logDir(r.Dir)); err != nil {
		return nil, fmt.Errorf("%s: %w", r.Dir, ErrNoLog)
	}
	options := chain.VerifyOptions{Progress: progress}
	if publicKey != "" {
		var err error
		if options.PublicKey, err = chain.ReadPublicKey(publicKey); err != nil {
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
	if v.Report, err = chain.Verify(ctx, logDir(r.Dir), options); err != nil || on == nil {
		return v, err
	}
	v.Stream, err = r.compare(ctx, on)
	if v.Stream != nil {
		v.Stream.Checkpoints, v.Stream.OtherLogs = len(options.Checkpoints), others
	}
	return v, err
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

// checkpoints reads the statements that auditors have published.
func checkpoints(ctx context.Context, on History) ([]chain.Checkpoint, error) {
	var all []chain.Checkpoint
	filter := proto.StoredPrefix + "." + string(proto.ClassEvent) + ".*." + bus.RoleAuditor + "." + KindCheckpoint + ".*"
	for m, err := range on.History(ctx, proto.StreamSecurity, filter, bus.Start{}) {
		if err != nil {
			return nil, fmt.Errorf("reading the checkpoints on the bus: %w", err)
		}
		var e proto.Event
		var c chain.Checkpoint
		if json.Unmarshal(m.Data, &e) == nil && json.Unmarshal(e.Raw, &c) == nil && len(c.Signature) == ed25519.SignatureSize {
			all = append(all, c)
		}
	}
	return all, nil
}

// logged is what is compared of a record.
type logged struct {
	stream uint64
	hash   [16]byte // of the payload
	seen   bool
}

const mostDifferences = 100

// compare holds the log against the stream, as far back as the stream goes.
func (r Reader) compare(ctx context.Context, on History) (*Agreement, error) {
	a := &Agreement{Differences: []string{}}
	differ := func(format string, args ...any) {
		a.Count++
		if len(a.Differences) < mostDifferences {
			a.Differences = append(a.Differences, fmt.Sprintf(format, args...))
		}
	}
	records, last, err := r.logged(ctx)
	if err != nil {
		return nil, err
	}
	var first uint64
	for m, err := range on.History(ctx, proto.StreamAudit, proto.StoredPrefix+".>", bus.Start{}) {
		if err != nil {
			return nil, fmt.Errorf("reading the stream: %w", err)
		}
		if first == 0 {
			first = m.Sequence
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
		// What is older than the stream's beginning, its retention has removed.
		if !l.seen && first != 0 && l.stream >= first {
			differ("record %s of the log (message %d) is not in the stream", id, l.stream)
		}
	}
	return a, nil
}

// logged reads what there is to compare, and the last stream sequence.
func (r Reader) logged(ctx context.Context) (records map[string]logged, last uint64, err error) {
	records = make(map[string]logged)
	for record, err := range chain.Scan(logDir(r.Dir), 1) {
		if ctx.Err() != nil {
			return nil, 0, context.Cause(ctx)
		}
		if err != nil {
			continue // Verify has told of it
		}
		records[record.ID] = logged{stream: record.StreamSeq, hash: digest(record.Payload)}
		last = max(last, record.StreamSeq)
	}
	return records, last, nil
}

func digest(payload []byte) [16]byte {
	sum := sha256.Sum256(payload)
	return [16]byte(sum[:16])
}

// Print writes the verification for a person.
func (v *Verification) Print(w io.Writer) {
	fmt.Fprintf(w, "log          %s\n", v.Log)
	key := "kept elsewhere"
	if v.OwnKey {
		key = "from the log's own directory: compare it with one that you have kept"
	}
	fmt.Fprintf(w, "public key   %x (%s)\n", []byte(v.PublicKey), key)
	fmt.Fprintf(w, "records      %d in %d files, %d bytes; the last is number %d\n", v.Records, v.Segments, v.Bytes, v.Last)
	fmt.Fprintf(w, "signed       up to record %d at %s; %d records behind it have no signature yet\n", v.Signed, v.SignedAt.Local().Format(time.DateTime), v.Unsigned)
	for _, r := range v.Removed {
		fmt.Fprintf(w, "removed      records %d to %d by %s at %s, with a signed statement\n", r.First, r.Last, r.Reason, r.Time.Local().Format(time.DateTime))
	}
	if v.TornBytes > 0 {
		fmt.Fprintf(w, "unfinished   the last line is %d bytes long and has no end: it is being written, or a crash has left it\n", v.TornBytes)
	}
	if s := v.Stream; s != nil {
		fmt.Fprintf(w, "stream       %d records are the same there, %d wait to be logged; %d checkpoints on the bus were held against the log\n", s.Compared, s.Waiting, s.Checkpoints)
		for _, other := range s.OtherLogs {
			fmt.Fprintf(w, "NOTE         there are checkpoints of another log on the bus, %s: was this one begun anew, or put in its place?\n", other)
		}
	} else {
		fmt.Fprintln(w, "stream       not compared")
	}
	for _, f := range v.Faults {
		fmt.Fprintf(w, "FAULT        %v\n", f)
	}
	if v.FaultCount > len(v.Faults) {
		fmt.Fprintf(w, "FAULT        and %d more\n", v.FaultCount-len(v.Faults))
	}
	if s := v.Stream; s != nil {
		for _, d := range s.Differences {
			fmt.Fprintf(w, "DIFFERENCE   %s\n", d)
		}
		if s.Count > len(s.Differences) {
			fmt.Fprintf(w, "DIFFERENCE   and %d more\n", s.Count-len(s.Differences))
		}
	}
	if v.OK() {
		fmt.Fprintln(w, "The log is as it was written.")
	} else {
		fmt.Fprintln(w, "The log is NOT as it was written.")
	}
}
