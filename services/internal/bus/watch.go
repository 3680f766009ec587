package bus

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/openclaw-security/bus/proto"
)

// Entry is the value of a key at a revision; nil for one that was removed.
type Entry struct {
	Key      string
	Value    []byte
	Revision uint64
}

// Watch yields the values of the keys under pattern, and then each that changes,
// until ctx ends. Values that are replaced in quick succession can be left out; the
// last one never is. It outlasts disconnects and restarts of the server, and holds a
// revision for each key. An error ends it: that of ctx, or one that trying again
// cannot help.
//
// pattern is a key, or a subject pattern of keys, whose listing takes the right to ask
// for the stream's state.
func (c *Conn) Watch(ctx context.Context, pattern string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		w := watcher{conn: c, pattern: pattern, known: make(map[string]version), yield: yield}
		if err := w.run(ctx); err != nil && !errors.Is(err, errStopped) {
			yield(Entry{}, fmt.Errorf("watching state %s: %w", pattern, err))
		}
	}
}

// watcher is one call of Watch.
type watcher struct {
	conn    *Conn
	pattern string
	known   map[string]version // of each key that was yielded
	yield   func(Entry, error) bool
}

// version tells what was stored of a key later from what was stored before. In a
// bucket that was made anew revisions begin again, and only the time tells.
type version struct {
	revision uint64
	stored   time.Time
}

func (w *watcher) run(ctx context.Context) error {
	var feed *Feed
	err := again(ctx, w.conn, func(ctx context.Context) (err error) {
		feed, err = w.conn.Live(ctx, proto.StateChangeSubject(w.pattern))
		return err
	})
	if err != nil {
		return err
	}
	defer feed.Close()
	for err = w.read(ctx); err == nil; {
		var m *Stored
		switch m, err = feed.next(ctx); {
		case err == nil:
			err = w.one(proto.StateKey(m.Subject), m)
		case errors.Is(err, errMissed):
			err = w.read(ctx)
		}
	}
	return err
}

// read yields what is not known of the keys that there are.
func (w *watcher) read(ctx context.Context) error {
	return again(ctx, w.conn, func(ctx context.Context) error {
		keys, err := w.keys(ctx)
		if err != nil {
			return err
		}
		for _, key := range keys {
			m, err := w.conn.lastBySubject(ctx, proto.StreamOfKey(key), proto.StateSubject(key))
			if err != nil {
				return err
			}
			if err := w.one(key, m); err != nil {
				return err
			}
		}
		for key := range w.known {
			if !slices.Contains(keys, key) {
				if err := w.one(key, nil); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// keys are those under the pattern.
func (w *watcher) keys(ctx context.Context) ([]string, error) {
	if !strings.ContainsAny(w.pattern, "*>") {
		return []string{w.pattern}, nil
	}
	subjects, err := w.conn.Subjects(ctx, proto.StreamOfKey(w.pattern), proto.StateSubject(w.pattern))
	if err != nil {
		return nil, err
	}
	var keys []string
	for subject := range subjects {
		keys = append(keys, proto.StateKey(subject))
	}
	slices.Sort(keys)
	return keys, nil
}

// one yields what is stored of a key, if it is not known yet; m is nil if there is
// nothing (any more).
func (w *watcher) one(key string, m *Stored) error {
	known, ok := w.known[key]
	e := Entry{Key: key}
	switch {
	case m == nil && !ok:
		return nil
	case m == nil:
		delete(w.known, key)
	case ok && m.Sequence <= known.revision && !m.Time.After(known.stored):
		return nil
	default:
		w.known[key] = version{m.Sequence, m.Time}
		e.Revision = m.Sequence
		if len(m.Data) > 0 {
			e.Value = m.Data
		}
	}
	if !w.yield(e, nil) {
		return errStopped
	}
	return nil
}
