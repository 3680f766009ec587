package follow

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// candidate is a file of the current scan that is not being read.
type candidate struct {
	*entry
	*sighting
	wait bool // it is still being written
}

// scan looks at the directories, finds out what became of each known
// generation, and starts those it has not met before.
func (f *Follower) scan() {
	f.win.save()
	f.scanned, f.rescan, f.unborn, f.deferred = f.now, false, false, 0
	f.unsettled = time.Time{}
	wide := slices.ContainsFunc(f.gens, func(g *generation) bool { return g.src == nil && !g.missing })
	list := f.cfg.discover(wide)
	if len(list.places) > 0 && list.places[0].dir == filepath.Dir(f.cfg.Path) {
		if key := list.places[0].key; !wide && f.dir != (fileKey{}) && key != f.dir {
			wide = true
			list = f.cfg.discover(wide)
		}
		f.dir = list.places[0].key
	}
	list.wide = wide
	f.waiting = list.problem
	f.wake.watch(list.places)

	if !f.started && f.refuse(&list) {
		return
	}
	found := f.locate(&list)
	f.adopt(found, &list)
	if f.settled.IsZero() {
		f.settled = time.Unix(0, 0)
		if slices.ContainsFunc(f.gens, func(g *generation) bool { return g.restored }) && !f.cfg.StoredAt.IsZero() {
			f.settled = f.cfg.StoredAt
		}
	}
	f.startNew(found, &list)
	f.supersede()
	f.holdEmpty(&list)
	f.report(found)
	if list.blind || f.rescan {
		return
	}
	lost := func(g *generation) bool { return g.src == nil && !g.missing }
	if len(list.entries) > 0 && slices.ContainsFunc(f.gens, lost) {
		if f.rescan = !f.steady(&list); f.rescan {
			return
		}
		for _, g := range f.gens {
			g.missing = g.src == nil
		}
	}
	f.settle()
	f.forget()
	f.started = f.started || !f.resuming || len(list.entries) > 0
}

// refuse reports whether there are more files than one Follower follows.
func (f *Follower) refuse(list *listing) bool {
	live := 0
	for i := range list.entries {
		if list.entries[i].live {
			live++
		}
	}
	if live <= MaxFiles {
		return false
	}
	f.refused = fmt.Errorf("%d files match %s, and at most %d that are written at once are followed: let the pattern match fewer, and run another shipper under another name for the rest",
		live, f.cfg.Path, MaxFiles)
	return true
}

// report says in f.waiting what keeps files from being read, if nothing else is.
func (f *Follower) report(found []candidate) {
	if f.waiting != "" {
		return
	}
	if f.deferred > 0 {
		f.waiting = fmt.Sprintf("%d files wait to be read: the process is out of file descriptors (see ulimit -n)", f.deferred)
		return
	}
	for _, c := range found {
		if c.unreadable != "" && c.of != nil && c.of.lost && c.mtime.After(f.settled) {
			f.waiting = unreadable(&c)
			return
		}
	}
	waiting := 0
	for _, g := range f.gens {
		if g.offset == 0 && g.src != nil && !g.lost && f.full() {
			waiting++
		}
	}
	if waiting > 0 {
		f.waiting = fmt.Sprintf("%d files wait to be read: a checkpoint holds at most %d, and at most %d files that are written at once are followed", waiting, maxPositions, MaxFiles)
	}
}

func unreadable(c *candidate) string {
	return c.path + " looks like a rotated file and cannot be read: " + c.unreadable
}

// steady reports whether the directories are still as list has them. If not, a
// file that was being renamed may be missing from it, or a file may have been
// looked into before it was copied to the end, and another after it was
// truncated.
func (f *Follower) steady(list *listing) bool {
	again := f.cfg.discover(list.wide)
	now := make(map[string]*entry)
	for i := range again.entries {
		now[again.entries[i].path] = &again.entries[i]
	}
	for i := range list.entries {
		a := &list.entries[i]
		if a.held != nil {
			continue
		}
		b := now[a.path]
		if info, err := os.Stat(a.path); b == nil && a.relation != known && err == nil {
			b = &entry{key: keyOf(info), size: info.Size(), mtime: info.ModTime()}
		}
		if b == nil || a.key != b.key {
			return false
		}
		growing := a.live || a.compressed() || f.open(a.key) != nil
		if !growing && (a.size != b.size || !a.mtime.Equal(b.mtime)) {
			return false
		}
	}
	before := make(map[string]bool)
	for i := range list.entries {
		before[list.entries[i].path] = true
	}
	return !slices.ContainsFunc(again.entries, func(e entry) bool { return !before[e.path] })
}

// open returns the generation that is being read from the file key.
func (f *Follower) open(key fileKey) *generation {
	for _, g := range f.gens {
		if g.src != nil && g.src.key == key {
			return g
		}
	}
	return nil
}

// locate notes where each known generation is now and returns the files that
// are not being read.
func (f *Follower) locate(list *listing) []candidate {
	f.looked = make(map[fileKey]*sighting)
	f.addHeld(list)
	f.addKin(list)
	list.order(f.ages(list), f.settled)
	f.named = make(map[fileKey]bool)
	var found []candidate
	for i := range list.entries {
		e := &list.entries[i]
		f.named[e.key] = f.named[e.key] || e.relation == known && e.held == nil
		if g := f.open(e.key); g != nil && f.stillThere(g) {
			if g.live && !e.live {
				g.changed = f.now
				f.cfg.Logger.Info("file rotated", "generation", g.name, "from", g.path, "to", e.path)
			}
			g.path, g.live, g.wasLive = e.path, e.live, g.wasLive || e.live
			g.found = f.now
			continue
		}
		s, err := f.sight(e)
		if err != nil {
			f.unseen(list, e, err)
			continue
		}
		found = append(found, candidate{entry: e, sighting: s})
		if s.of != nil {
			s.of.found = f.now
		}
		if !s.complete && !s.done {
			f.unborn = true
			f.holdSettled(e.mtime)
		}
	}
	if list.blind || f.rescan || f.sightings == nil {
		// Not having been found means nothing.
		for _, g := range slices.Concat(f.gens, f.past) {
			g.found = f.now
		}
	}
	f.sightings = f.looked
	for _, g := range f.gens {
		if g.live && !g.found.Equal(f.now) {
			g.live, g.changed = false, f.now
		}
	}
	return found
}

// ages returns what tells the age of entries: when their first lines were
// written, if in their series all say so and none say the same, else when they
// were last modified.
func (f *Follower) ages(list *listing) func(*entry) int64 {
	began := make(map[fileKey]int64)
	seen := make(map[string]map[int64]bool) // nil: not all of the series say so
	for i := range list.entries {
		e := &list.entries[i]
		if _, ok := seen[e.series]; !ok {
			seen[e.series] = make(map[int64]bool)
		}
		at := f.began(e)
		if at.IsZero() && e.size > 0 || seen[e.series] == nil || seen[e.series][at.UnixNano()] {
			seen[e.series] = nil
			continue
		}
		if at.IsZero() {
			at = e.mtime // of an empty file
		}
		seen[e.series][at.UnixNano()] = true
		began[e.key] = at.UnixNano()
	}
	return func(e *entry) int64 {
		if seen[e.series] != nil {
			return began[e.key]
		}
		return e.mtime.UnixNano()
	}
}

// began returns when the first line of e was written, or the zero time.
func (f *Follower) began(e *entry) time.Time {
	if g := f.open(e.key); g != nil {
		if g.began.IsZero() && g.timed < g.size && g.src.format == plainText {
			// Its first lines may have come since.
			if n, err := g.src.readAt(f.head, 0); err == nil {
				g.began, g.timed = firstTime(f.head[:n]), g.size
			}
			if g.size >= headSize {
				g.timed = math.MaxInt64
			}
		}
		return g.began
	}
	if s, err := f.sight(e); err == nil && s.complete {
		return s.began
	}
	return time.Time{}
}

// stillThere reports whether the open file of g still holds it, and cuts g if
// not. Its place decides what is newer than g, so that must be sure.
func (f *Follower) stillThere(g *generation) bool {
	ok, err := f.measure(g)
	if err != nil {
		f.fault(g, err)
	} else if !ok {
		f.cut(g)
	}
	return g.src != nil
}

// measure notes the size of the file of g, if it is intact.
func (f *Follower) measure(g *generation) (intact bool, err error) {
	info, err := g.src.stat()
	if err != nil {
		return false, err
	}
	// A size counts only if the file was intact after it had that size.
	if intact, err = f.intact(g); intact && err == nil {
		g.measure(info.Size(), earlier(info.ModTime(), f.now))
		g.mtime = info.ModTime()
	}
	return intact, err
}

// unseen notes a file that could not be looked into. It matters only if it may
// hold unread lines.
func (f *Follower) unseen(list *listing, e *entry, err error) {
	if errors.Is(err, errMoved) || errors.Is(err, fs.ErrNotExist) {
		f.rescan = true
		return
	}
	if !e.live && (f.ignoring() || !e.mtime.After(f.settled)) {
		return
	}
	list.blind = true
	f.holdSettled(e.mtime)
	if f.waiting == "" || f.waiting == list.problem {
		f.waiting = describe(e.path, err)
	}
}

// ignoring reports whether rotated files are passed over because nothing was
// ever read of this source.
func (f *Follower) ignoring() bool { return !f.started && !f.resuming }

// holdSettled keeps the settled time before at.
func (f *Follower) holdSettled(at time.Time) {
	if f.unsettled.IsZero() || at.Before(f.unsettled) {
		f.unsettled = at
	}
}

// supersede notes which generations have a newer one in their series.
func (f *Follower) supersede() {
	newer := make(map[string]bool)
	for _, g := range slices.Backward(f.gens) {
		if newer[g.series] && g.superseded.IsZero() {
			g.superseded = f.now
			if f.started {
				g.changed = f.now
			}
		}
		newer[g.series] = true
	}
}

// covered reports whether the settled time tells that g, which has ended, was read.
// Of one that was not found since the start only a newer one that ended tells.
func (f *Follower) covered(g *generation) bool {
	if g.recalled && g.mtime.IsZero() {
		return f.settled.After(f.cfg.From.Settled)
	}
	return !g.mtime.After(f.settled)
}

// forget drops ended generations of which no file is left. Until the settled time
// covers them checkpoints list them, for the file may be somewhere else.
func (f *Follower) forget() {
	f.past = slices.DeleteFunc(f.past, func(g *generation) bool {
		if !f.unlinked(g) {
			return false
		}
		g.key = fileKey{} // Its inode may be given to another file.
		return g.deleted || f.covered(g)
	})
}

// tick is longer than the steps in which file systems keep time, so that what
// was modified a tick earlier was modified earlier.
const tick = 20 * time.Millisecond

// settle moves the settled time forward to just before the last modification of
// an ended generation, or to the first scan if nothing was to be read before, but not to that of a file that is still to be read and
// not listed in a checkpoint. It is called when a scan has accounted for every
// file there is: what comes later is modified later.
func (f *Follower) settle() {
	settled := f.settled
	for _, g := range f.past {
		at := g.mtime
		if !g.unsized {
			at = at.Add(-tick)
		}
		if at.After(settled) {
			settled = at
		}
	}
	if f.ignoring() {
		settled = f.now.Add(-tick)
	}
	settled = earlier(settled, f.now)
	if !f.unsettled.IsZero() {
		settled = earlier(settled, f.unsettled.Add(-tick))
	}
	for _, g := range f.gens {
		if !g.ended && g.offset == 0 {
			settled = earlier(settled, g.mtime.Add(-tick))
		}
	}
	if settled.After(f.settled) {
		f.settled = settled
	}
}
