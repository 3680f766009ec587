// Package index answers questions about the audit log: a SQLite file with a row
// for each LLM request, built from the log's records.
//
//	log ─▶ Record ─▶ Add ─▶ requests   one row each, start and end merged ─▶ List, Get
//	                   │     calls, findings   which requests called or broke what
//	                   ├───▶ rollups    sums by hour, group and tool ─▶ Report, Tools
//	                   └───▶ position   the last record taken in, in the same transaction
//
// The log is the truth and the index never is: it can be dropped and built again
// at any time, so it is written without waiting for the disk, and holds nothing
// that the log does not. What was said in a request, where it is kept at all, is
// in the log only.
//
// One process writes. Others read at the same time, with [Options.ReadOnly].
package index

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// ErrRebuild reports an index that cannot be used: its file is damaged, not an index,
// or of another version of this program. [Discard] it, open it
// again, and feed it the log from its beginning.
var ErrRebuild = errors.New("the index must be built again from the log")

// Max memory for pages of the file, in KiB.
const (
	writerCache = 16 << 10
	readerCache = 8 << 10
	readers     = 2
)

// Options say how to open an index.
type Options struct {
	// ReadOnly opens an index that another process may be writing. Nothing is
	// created: a file that is not there is [fs.ErrNotExist].
	ReadOnly bool
	// InterruptedAfter is the age at which a request without an end counts as
	// interrupted rather than open; an hour if it is 0.
	InterruptedAfter time.Duration
	// Now is the clock for that; [time.Now] if it is nil.
	Now func() time.Time
}

// Index is an open index. Its methods may be called from several goroutines.
type Index struct {
	interruptedAfter time.Duration
	now              func() time.Time
	read             *sql.DB

	mu   sync.Mutex // guards what follows
	w    *writer    // nil if it is read-only
	seq  uint64
	head string
}

// Open opens the index at path and, unless it is to be read only, creates it if it
// is not there. The error is [ErrRebuild] if what is there cannot be used.
func Open(path string, o Options) (*Index, error) {
	if o.InterruptedAfter == 0 {
		o.InterruptedAfter = time.Hour
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("opening the index: %w", err)
	}
	x := &Index{interruptedAfter: o.InterruptedAfter, now: o.Now}
	if err := x.open(path, o.ReadOnly); err != nil {
		return nil, errors.Join(fmt.Errorf("opening the index %s: %w", path, damaged(err)), x.Close())
	}
	return x, nil
}

func (x *Index) open(path string, readOnly bool) error {
	if readOnly {
		if _, err := os.Stat(path); err != nil {
			return err
		}
	} else {
		// SQLite gives its other files the mode of this one.
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
		if x.w, err = openWriter(dsn(path, "rw", writerCache, "journal_mode(WAL)", "synchronous(NORMAL)", "journal_size_limit(67108864)", "wal_autocheckpoint(16000)")); err != nil {
			return err
		}
	}
	var err error
	if x.read, err = sql.Open("sqlite", dsn(path, "ro", readerCache, "query_only(1)")); err != nil {
		return err
	}
	x.read.SetMaxOpenConns(readers)
	if err := checkVersion(context.Background(), x.read); err != nil {
		return err
	}
	return x.read.QueryRow("SELECT seq, head FROM position").Scan(&x.seq, &x.head)
}

func dsn(path, mode string, cacheKiB int, pragmas ...string) string {
	q := url.Values{"mode": {mode}, "_txlock": {"deferred"}}
	q["_pragma"] = append([]string{"busy_timeout(10000)", fmt.Sprintf("cache_size(-%d)", cacheKiB)}, pragmas...)
	return (&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String()
}

type queryer interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func checkVersion(ctx context.Context, q queryer) error {
	var application, version int
	if err := q.QueryRowContext(ctx, "PRAGMA application_id").Scan(&application); err != nil {
		return err
	}
	if err := q.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	if application != applicationID || version != schemaVersion {
		return fmt.Errorf("the file has the mark %#x and version %d, not %#x and %d: %w",
			application, version, applicationID, schemaVersion, ErrRebuild)
	}
	return nil
}

// damaged makes SQLite's complaints about the file's content [ErrRebuild].
func damaged(err error) error {
	var e *sqlite.Error
	if !errors.As(err, &e) || errors.Is(err, ErrRebuild) {
		return err
	}
	switch e.Code() & 0xff { // the rest says more of the same
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("%w: %w", ErrRebuild, err)
	}
	return err
}

// Position is the last record of the log that the index has taken in, and the
// chain's value after it; 0 and "" in an empty index. For a reader it is what it
// was when it opened the index.
func (x *Index) Position() (seq uint64, head string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.seq, x.head
}

// Close ends the use of the index. A reader must have ended its iterations.
func (x *Index) Close() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	var errs []error
	if x.read != nil {
		errs = append(errs, x.read.Close())
	}
	if x.w != nil {
		errs = append(errs, x.w.close())
		x.w = nil
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("closing the index: %w", err)
	}
	return nil
}

// Discard puts the index at path, which must not be open, aside as path.old, in
// place of what was put there before. If there is none, it does nothing.
func Discard(path string) error {
	if err := os.Rename(path, path+".old"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("discarding the index: %w", err)
	}
	// If this is not reached, SQLite drops them when it finds the new file empty.
	for _, suffix := range []string{"-wal", "-shm"} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("discarding the index: %w", err)
		}
	}
	return nil
}
