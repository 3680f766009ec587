// Package chain is the audit log on disk: records that are only ever appended,
// each bound to all that came before it, so that a record that is altered, dropped,
// inserted or reordered is detected.
//
//	Missing ─▶ Append ─▶ segment (lines) ─▶ Tidy: compressed ─▶ Tidy: stub
//	              │          │                   │                  │
//	         Checkpoint      └───────────────────┴──────────────────┴─▶ Scan, Verify
//
// # Format
//
// A log is a directory. Its segments are numbered from 1:
//
//	00000001.jsonl       lines
//	00000001.jsonl.zst   the same lines in zstd, once the segment is closed
//	00000001.stub.jsonl  what is left when retention has removed the records
//	checkpoints.jsonl    signed statements, one a line
//	key.pem, key.pub     the Ed25519 key (PKCS #8) and its public half (PKIX), in PEM
//
// A segment begins with a header, goes on with records and, once it is closed, ends
// with a footer, each a line of JSON without spaces:
//
//	{"prev":"…","header":{"version":1,"log":"…","segment":2,"first_seq":5,…}}
//	{"prev":"…","seq":5,"id":"…","stream_seq":9,"stored":"…","payload":{…}}
//	{"prev":"…","footer":{"segment":2,"first_seq":5,"last_seq":5,"header":"…",…,"signature":"…"}}
//
// Each prev is the SHA-256 of the line before, newline included, in hex; the first
// line of a segment names the last one of the segment before, and the first of all
// has zeros. So the hash of record n is SHA-256(hash n−1 ‖ the rest of line n), and
// any line can be checked against the next one:
//
//	sed -n 5p 00000002.jsonl | sha256sum
//	sed -n 6p 00000002.jsonl | jq -r .prev
//
// A payload stands in its line byte for byte. One that is not JSON, or has a line
// break in it, stands there in base64, as payload_base64.
//
// A signature is over its line without the signature and without the newline. With
// OpenSSL 3:
//
//	tail -n 1 00000002.jsonl > line
//	sed 's/,"signature":"[^"]*"//' line | tr -d '\n' > text
//	jq -r .footer.signature line | base64 -d > signature
//	openssl pkeyutl -verify -pubin -inkey key.pub -rawin -in text -sigfile signature
//
// and likewise for the lines of checkpoints.jsonl, with .signature. A checkpoint
// names a record and its hash (for seq 0 the first header's); it vouches for all
// that is before. A footer vouches by its prev for all of its segment, and by the
// header's hash for the header. A stub is header, footer and a signed statement that
// retention has removed what was between; the next segment names the footer.
//
// # What is detected
//
// Every line is vouched for by the next, and all lines by the next signature. So
// without the key nothing before the last signature can be altered undetected. Behind
// it there are never more than [MaxUnsigned] records, and in a log that was closed
// none; [Result] has their number.
//
// Two things a log cannot show by itself: that its end was cut off together with the
// checkpoints about it (the log was set back to an earlier copy), and that all of it
// was written anew by someone who has the key. Both contradict any later checkpoint
// that was kept elsewhere: [Verify] takes those. The public key should be kept
// elsewhere too.
package chain

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/openclaw-security/bus/services/internal/dirlock"
)

// ErrClosed reports a call after Close.
var ErrClosed = errors.New("the audit log is closed")

const (
	// DefaultSegmentBytes is the size at which a segment is closed if
	// Options.SegmentBytes is 0.
	DefaultSegmentBytes = 64 << 20
	// MaxSegmentBytes bounds Options.SegmentBytes.
	MaxSegmentBytes = 1 << 30
)

// Options say where a log is, and how it is kept.
type Options struct {
	// Dir holds the log. It is made if it is not there.
	Dir string
	// KeyFile is the Ed25519 key in PEM (PKCS #8). A new log makes it if it is not
	// there. The default is key.pem in Dir.
	KeyFile string
	// SegmentBytes is the size, uncompressed, at which a segment is closed and the
	// next one begins; by default [DefaultSegmentBytes], at most [MaxSegmentBytes].
	SegmentBytes int64
	// Daily begins a new segment with the first records of a day too, in UTC.
	Daily bool
	// KeepFor is how long after its end a closed segment is kept. 0 is for ever.
	KeepFor time.Duration
	// KeepBytes bounds the segments on disk together, in bytes: the oldest closed
	// ones are removed. 0 is no bound.
	KeepBytes int64
	// Now is the clock.
	Now func() time.Time
	// Log is where repairs and removals are logged.
	Log *slog.Logger
}

// Log is an audit log that is open for appending. It is safe for concurrent use.
type Log struct {
	dir          string
	key          ed25519.PrivateKey
	segmentBytes int64
	limits       limits
	daily        bool
	keepFor      time.Duration
	keepBytes    int64
	now          func() time.Time
	log          *slog.Logger
	open         func(path string, flag int) (file, error)
	lock         *dirlock.Lock

	tidying sync.Mutex // held by Tidy; taken before mu

	mu        sync.Mutex
	closed    bool
	segments  []segment // oldest first
	active    *tail     // the newest segment's; nil if that is closed
	ledger    tail
	head      Head
	line      Hash       // of the last line, of any kind
	signed    Checkpoint // the last one
	dedup     dedup
	tornBytes int64
	batch     []byte // to build lines in
}

// segment is what is known of one without reading it.
type segment struct {
	number   uint64
	firstSeq uint64
	created  time.Time
	header   Hash
	stream   streamRange
}

// Head is where a log ends.
type Head struct {
	Log  string // the log's id
	Seq  uint64 // of the last record; 0 if there is none
	Hash Hash   // of that record's line, or else of the first segment's header
	// Of the last record:
	ID        string
	StreamSeq uint64
	Stored    time.Time
}

// Stats are the figures of a log.
type Stats struct {
	Segments  int
	Signed    uint64 // the last record that a checkpoint covers
	TornBytes int64  // cut off at Open behind the last line that a crash has left whole
}

// Open opens the log in o.Dir, or begins one. It reads the end of the log, as far
// back as it needs to recognize records that come again. What a crash has left of
// an Append that did not return is cut off; Stats has its size.
//
// A log whose end is not as it was written is not opened: the error wraps a
// [*Corruption], and [Verify] finds more. [ErrLocked] says that another process has
// the log open.
func Open(o Options) (*Log, error) {
	l, err := open(o, openFile, limits{records: maxSegmentRecords, recent: recentIDs})
	if err != nil {
		return nil, fmt.Errorf("opening the audit log: %w", noSpace(err))
	}
	return l, nil
}

// limits bound the memory for ids; tests have smaller ones.
type limits struct {
	records uint64 // in a segment
	recent  int    // min records whose ids are in memory
}

func open(o Options, openFile func(string, int) (file, error), bounds limits) (*Log, error) {
	if o.SegmentBytes < 0 || o.SegmentBytes > MaxSegmentBytes {
		return nil, fmt.Errorf("segments of %d bytes: at most %d are possible", o.SegmentBytes, int64(MaxSegmentBytes))
	}
	l := &Log{
		dir:          o.Dir,
		segmentBytes: o.SegmentBytes,
		limits:       bounds,
		daily:        o.Daily,
		keepFor:      o.KeepFor,
		keepBytes:    o.KeepBytes,
		now:          o.Now,
		log:          o.Log,
		open:         openFile,
	}
	if l.segmentBytes == 0 {
		l.segmentBytes = DefaultSegmentBytes
	}
	if o.KeyFile == "" {
		o.KeyFile = filepath.Join(o.Dir, keyName)
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, err
	}
	var err error
	if l.lock, err = dirlock.Take(o.Dir, ErrLocked); err != nil {
		return nil, err
	}
	if err := l.resume(o.KeyFile); err != nil {
		return nil, errors.Join(err, l.closeFiles())
	}
	return l, nil
}

// Last returns where the log ends. Behind a tail that was cut off, the stream may
// have records that it takes for delivered and that the log does not hold: read it
// again from Head.StreamSeq on, and append what [Log.Missing] says.
func (l *Log) Last() Head {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.head
}

// Stats returns the present figures.
func (l *Log) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Stats{Segments: len(l.segments), Signed: l.signed.Seq, TornBytes: l.tornBytes}
}

// Close signs what has not been signed and frees the log. It waits for a Tidy,
// whose context should be done by then. If signing fails the log is closed all the
// same, and its last records are without a signature until it is next open.
func (l *Log) Close() error {
	l.tidying.Lock()
	defer l.tidying.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return ErrClosed
	}
	l.closed = true
	if err := errors.Join(l.sign(), l.closeFiles()); err != nil {
		return fmt.Errorf("closing the audit log: %w", noSpace(err))
	}
	return nil
}

func (l *Log) closeFiles() error {
	var err error
	if l.active != nil {
		err = l.active.Close()
	}
	if l.ledger.file != nil {
		err = errors.Join(err, l.ledger.Close())
	}
	return errors.Join(err, l.lock.Release())
}

func (l *Log) publicKey() ed25519.PublicKey { return l.key.Public().(ed25519.PublicKey) }

func (l *Log) newest() *segment { return &l.segments[len(l.segments)-1] }
