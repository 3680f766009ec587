package follow

import (
	"context"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// hint says why a wait is over.
type hint uint8

const (
	// timeUp: the poll interval has passed, or the context is done.
	timeUp hint = iota
	// readAgain: a file of the source was written.
	readAgain
	// scanAgain: a file appeared, disappeared or changed its name.
	scanAgain
)

// wake ends a wait early when the operating system reports a change. It is only
// a hint: reports may be missing, late or superfluous, and everything works, at
// the pace of the poll interval, when there are none.
type wake struct {
	log     *slog.Logger
	watcher *fsnotify.Watcher // nil: there are no notifications
	watched map[string]watched
}

type watched struct {
	key     fileKey
	pattern string
}

func newWake(cfg Config) *wake {
	w := &wake{log: cfg.Logger, watched: make(map[string]watched)}
	if cfg.PollOnly {
		return w
	}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		w.log.Warn("no file notifications, polling only", "err", err)
		return w
	}
	w.watcher = watcher
	return w
}

func (w *wake) close() error {
	if w.watcher == nil {
		return nil
	}
	return w.watcher.Close()
}

// watch makes places the directories that are watched.
func (w *wake) watch(places []place) {
	if w.watcher == nil {
		return
	}
	for _, p := range places {
		want := watched{p.key, p.pattern}
		old, known := w.watched[p.dir]
		if known && old == want {
			continue
		}
		if known && old.key != want.key {
			// The directory was replaced. If the watch went with it, there is
			// nothing to remove.
			_ = w.watcher.Remove(p.dir)
		}
		if err := w.watcher.Add(p.dir); err != nil {
			if !known {
				w.log.Warn("no notifications for directory, polling it", "dir", p.dir, "err", err)
			}
		}
		w.watched[p.dir] = want
	}
}

// wait blocks until a file of the source changes, the poll interval has passed
// or ctx is done.
func (w *wake) wait(ctx context.Context, poll time.Duration) hint {
	var events <-chan fsnotify.Event
	var errs <-chan error
	if w.watcher != nil {
		events, errs = w.watcher.Events, w.watcher.Errors
	}
	timer := time.NewTimer(poll)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return timeUp
		case <-timer.C:
			return timeUp
		case <-errs:
			// The queue has overflowed: any report may be missing.
			return scanAgain
		case e := <-events:
			if h := w.judge(e); h != timeUp {
				return h
			}
		}
	}
}

// judge returns what an event calls for; timeUp means nothing.
func (w *wake) judge(e fsnotify.Event) hint {
	if _, ok := w.watched[e.Name]; ok {
		if e.Has(fsnotify.Remove) || e.Has(fsnotify.Rename) {
			delete(w.watched, e.Name)
		}
		return scanAgain
	}
	dir, base := filepath.Split(e.Name)
	if _, ok := parseName(w.watched[filepath.Clean(dir)].pattern, base); !ok {
		return timeUp
	}
	if e.Op == fsnotify.Write {
		return readAgain
	}
	return scanAgain
}
