package follow

import (
	"errors"
	"io/fs"
	"slices"
	"time"
)

// sighting is what is known of a file in the directory that is not being read.
type sighting struct {
	// length and written are the size and modification time that it is about.
	length  int64
	written time.Time
	fingerprint
	// done says that nothing is to be read from the file as it is now.
	done bool
	// of is the generation that the file is the rest or a copy of.
	of *generation
}

func (s *sighting) matches(e *entry) bool {
	return s != nil && s.length == e.size && s.written.Equal(e.mtime)
}

// candidate is a file of the current scan that is not being read.
type candidate struct {
	*entry
	*sighting
}

// scan looks at the directories, finds out what became of each known
// generation, and takes up those it has not seen before.
func (f *Follower) scan() {
	f.win.save()
	f.scanned, f.rescan, f.unborn = f.now, false, false
	f.unsettled = time.Time{}
	list := discover(f.cfg.Path)
	f.waiting = list.problem
	f.wake.watch(list.places)

	found := f.locate(&list)
	f.adopt(found, list.strangers)
	if f.settled.IsZero() {
		f.settled = time.Unix(0, 0)
		if slices.ContainsFunc(f.gens, func(g *generation) bool { return g.restored }) && !f.cfg.StoredAt.IsZero() {
			f.settled = f.cfg.StoredAt
		}
	}
	f.takeUp(found, &list)
	f.supersede()
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
	f.past = slices.DeleteFunc(f.past, f.unlinked)
	slices.SortStableFunc(f.past, func(a, b *generation) int { return a.mtime.Compare(b.mtime) })
	f.settle()
	f.started = f.started || !f.resuming || len(list.entries) > 0
}

// steady reports whether the directories are still as list has them. If not, a
// file that was being renamed may be missing from it, or a file may have been
// looked into before it was copied to the end, and another after it was
// truncated.
func (f *Follower) steady(list *listing) bool {
	again := discover(f.cfg.Path)
	return slices.EqualFunc(list.entries, again.entries, func(a, b entry) bool {
		if a.path != b.path || a.key != b.key {
			return false
		}
		growing := a.live || a.zipped || f.open(a.key) != nil
		return growing || a.size == b.size && a.mtime.Equal(b.mtime)
	})
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
	sightings := make(map[fileKey]*sighting)
	var found []candidate
	for i := range list.entries {
		e := &list.entries[i]
		if g := f.open(e.key); g != nil && f.stillThere(g) {
			if g.live && !e.live {
				g.changed = f.now
				f.cfg.Logger.Info("file rotated", "generation", g.id, "from", g.path, "to", e.path)
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
		sightings[e.key] = s
		found = append(found, candidate{e, s})
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
	f.sightings = sightings
	for _, g := range f.gens {
		if g.live && !g.found.Equal(f.now) {
			g.live, g.changed = false, f.now
		}
	}
	return found
}

// stillThere reports whether the open file of g still holds it, and cuts g if
// not. What is newer than g is told by its place, so that must be sure.
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
	}
	return intact, err
}

// sight returns what is known of e, looking into the file if it has changed.
func (f *Follower) sight(e *entry) (*sighting, error) {
	if s := f.sightings[e.key]; s.matches(e) {
		return s, nil
	}
	s := &sighting{length: e.size, written: e.mtime}
	if e.size == 0 {
		s.done = !e.live
		return s, nil
	}
	src, err := openSource(e.path, e.key, e.zipped)
	if err != nil {
		return nil, err
	}
	defer src.close()
	s.fingerprint, err = identify(src, f.head)
	if err == nil && !s.complete && src.short != "" {
		err = errors.New(src.short)
	}
	return s, err
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

// supersede notes which generations have a newer one in their lane.
func (f *Follower) supersede() {
	newer := make(map[string]bool)
	for _, g := range slices.Backward(f.gens) {
		if newer[g.lane] && g.superseded.IsZero() {
			g.superseded = f.now
			if f.started {
				g.changed = f.now
			}
		}
		newer[g.lane] = true
	}
}

// tick is longer than the steps in which file systems keep time, so that what
// was modified a tick earlier was modified earlier.
const tick = 20 * time.Millisecond

// settle moves the settled time forward to just before the last modification of
// an ended generation, but not to that of a file that is still to be read and
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
