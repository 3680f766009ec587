package follow

import (
	"os"
	"path/filepath"
	"slices"
	"time"
)

// addKin adds to list those of its kin that are known, or whose lines continue
// those of the series and which are thus rotated files with names of an unknown
// notation. What was there before the first start, or is still written, is none.
func (f *Follower) addKin(list *listing) {
	moved := f.movedOutOfSight(list)
	f.addStrangers(list, moved)
	for i := range list.kin {
		e := &list.kin[i]
		if f.ignoring() && e.relation == beside {
			f.foreign[e.key] = true
		}
		if f.foreign[e.key] {
			continue
		}
		if f.open(e.key) != nil {
			list.entries = append(list.entries, *e)
			continue
		}
		before := f.sightings[e.key]
		s, err := f.sight(e)
		if e.relation == beside && before != nil && err == nil && before.id == s.id && before.length < e.size {
			f.foreign[e.key] = true // Somebody else writes it.
			continue
		}
		switch {
		case err != nil:
			if !outOfDescriptors(err) && e.relation == likely {
				f.unseen(list, e, err)
			}
			continue
		case s.id == "", !s.complete:
			continue
		}
		c := &candidate{entry: e, sighting: s}
		isKnown := func(g *generation) bool { return c.belongs(g) && g.id == s.id }
		if s.of != nil || slices.ContainsFunc(f.gens, isKnown) || slices.ContainsFunc(f.past, isKnown) || f.follows(c, list, moved[c.series]) {
			list.entries = append(list.entries, *e)
		}
	}
}

// movedOutOfSight returns the series of which a file that was being read has no
// known name any more: rotation gives other names, then.
func (f *Follower) movedOutOfSight(list *listing) map[string]bool {
	moved := make(map[string]bool)
	for _, g := range f.gens {
		if g.offset > 0 && !g.missing && !slices.ContainsFunc(list.entries, func(e entry) bool {
			if e.key == g.key {
				return true
			}
			s, err := f.sight(&e)
			if err != nil || s.id != g.id {
				return false
			}
			c := &candidate{entry: &e, sighting: s}
			return f.mayBe(c, g) && f.compare(g, c) != differs
		}) {
			moved[g.series] = true
		}
	}
	return moved
}

// addStrangers adds to the kin files with unrelated names whose lines have the form
// of the log's, if its own file has moved out of sight.
func (f *Follower) addStrangers(list *listing, moved map[string]bool) {
	const limit = 256
	if !moved[""] {
		return
	}
	forms := make(map[string]bool)
	for _, g := range f.gens {
		forms[g.form] = true
	}
	for i := range list.entries {
		if s, err := f.sight(&list.entries[i]); err == nil {
			forms[s.form] = true
		}
	}
	for _, path := range list.strangers[:min(limit, len(list.strangers))] {
		info, err := os.Stat(path)
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		e := entry{path: path, key: keyOf(info), size: info.Size(), mtime: info.ModTime()}
		_, e.format = cutFormat(filepath.Base(path))
		e.moved, e.relation = true, beside
		s, err := f.sight(&e)
		if err != nil || s.unreadable != "" || s.began.IsZero() || !forms[s.form] {
			delete(f.looked, e.key)
			continue
		}
		list.kin = append(list.kin, e)
	}
}

// slack is by how much the lines of one writer may be out of order.
const slack = 2 * time.Second

// follows reports whether c may be a rotated file of its series: what it holds fits
// between what is known of that, and its lines are records of the log's writer.
func (f *Follower) follows(c *candidate, list *listing, moved bool) bool {
	return f.fits(c, list, moved) && (c.unreadable != "" || f.isOwn(c))
}

// isOwn reports whether most lines of c are records of the log's writer.
func (f *Follower) isOwn(c *candidate) bool {
	if f.cfg.Own == nil {
		return true
	}
	if c.sighting.own == nil {
		own := false
		if src, err := c.open(); err == nil {
			own, err = mostAre(src, f.head, f.cfg.Own)
			src.close()
			if err != nil {
				return false // the next scan asks again
			}
		}
		c.sighting.own = &own
	}
	return *c.sighting.own
}

// fits reports whether what c holds was written between what is known of its
// series, and before its newest file. Another log of the same program was written at
// the same time. Where lines state
// no time, only their file's names and modification times tell; moved says that
// the file of the series has got an unknown name.
func (f *Follower) fits(c *candidate, list *listing, moved bool) bool {
	var newest *entry
	for i := range list.entries {
		if e := &list.entries[i]; e.series == c.series && e.relation == known && (e.live || newest == nil || !newest.live) {
			newest = e
		}
	}
	if newest == nil {
		return false // the next file of the series tells
	}
	next := f.began(newest)
	if c.began.IsZero() {
		if c.relation != likely && c.unreadable == "" && !moved {
			return false
		}
		if !f.leftAlone(c.mtime) {
			if c.mtime.After(f.settled) {
				f.holdSettled(c.mtime)
			}
			return false
		}
		return !c.mtime.After(newest.mtime) && (c.relation == likely || moved && !f.isOthers(c, list))
	}
	if next.IsZero() {
		f.holdSettled(c.mtime)
		return false
	}
	ended := f.ended(c)
	tolerance := min(slack, ended.Sub(c.began)/4)
	if ended.IsZero() || ended.Before(c.began.Add(-slack)) || ended.After(next.Add(tolerance)) {
		return false
	}
	for _, g := range slices.Concat(f.gens, f.past) {
		if g.series != c.series || g.began.IsZero() || g.key == newest.key {
			continue
		}
		before := !c.began.Before(f.lastOf(g).Add(-tolerance))
		after := !ended.After(g.began.Add(tolerance))
		if !before && !after {
			return false
		}
	}
	return c.relation == likely || !f.isOthers(c, list)
}

// ended returns when the last line of c was written, or the zero time.
func (f *Follower) ended(c *candidate) time.Time {
	if c.sighting.ended == nil {
		at := time.Time{}
		if src, err := c.open(); err == nil {
			at, _ = lastTime(src, -1, f.head)
			src.close()
		}
		c.sighting.ended = &at
	}
	return *c.sighting.ended
}

// lastOf returns when the last line of g was written, as far as is known without
// decompressing it again.
func (f *Follower) lastOf(g *generation) time.Time {
	if g.src != nil {
		end := g.offset
		if g.src.format == plainText {
			end = -1
		}
		if at, err := lastTime(g.src, end, f.head); err == nil && at.After(g.began) {
			return at
		}
	}
	if g.lastAt.After(g.began) {
		return g.lastAt
	}
	return g.began
}

// isOthers reports whether the name of c is that of a log with rotated files of its
// own, or of one of these.
func (f *Follower) isOthers(c *candidate, list *listing) bool {
	name := filepath.Base(c.path)
	rotatedOf := func(pattern, base string) bool {
		n, ok := parseName(pattern, base)
		return ok && n.moved && n.relation == known
	}
	other := func(path string) bool {
		base := filepath.Base(path)
		return base != name && (rotatedOf(base, name) || rotatedOf(name, base))
	}
	own := filepath.Base(f.cfg.Path)
	return slices.ContainsFunc(list.strangers, other) ||
		slices.ContainsFunc(list.kin, func(e entry) bool { return other(e.path) }) ||
		slices.ContainsFunc(list.entries, func(e entry) bool {
			return filepath.Base(e.path) != own && other(e.path)
		})
}

// holdEmpty keeps files open that are to be read as soon as they hold a line, so
// that they are not lost if they are moved out of sight right after that.
func (f *Follower) holdEmpty(list *listing) {
	for i := range list.entries {
		e := &list.entries[i]
		s := f.sightings[e.key]
		if !e.live || s == nil || s.complete || f.open(e.key) != nil || f.held[e.key] != nil {
			continue
		}
		if src, err := e.open(); err == nil {
			f.held[e.key] = &heldFile{file: src.file, entry: *e}
		}
	}
	for key, h := range f.held {
		info, err := h.file.Stat()
		gone := h.away && err == nil && info.Size() == 0 && f.now.Sub(h.since) > f.cfg.Grace
		s := f.sightings[key]
		known := s != nil && s.of != nil
		if f.open(key) != nil || gone || known || err != nil {
			h.file.Close()
			delete(f.held, key)
		}
	}
}

// heldFile is a file without a line that is kept open.
type heldFile struct {
	file  *os.File
	entry entry
	// away says that it is not at the name that is written any more, since when.
	away  bool
	since time.Time
}

// addHeld adds to list the files that are held open and have left the directories.
func (f *Follower) addHeld(list *listing) {
	for key, h := range f.held {
		i := slices.IndexFunc(list.entries, func(e entry) bool { return e.key == key })
		if i >= 0 && list.entries[i].live {
			continue
		}
		if !h.away {
			h.away, h.since = true, f.now
		}
		info, err := h.file.Stat()
		if i >= 0 || err != nil || info.Size() == 0 {
			continue
		}
		e := h.entry
		e.moved, e.live, e.held = true, false, h.file
		e.size, e.mtime = info.Size(), info.ModTime()
		list.entries = append(list.entries, e)
	}
}
