package follow

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
)

// adopt finds the files that hold the rest of generations without one: those of
// the checkpoint after a start, and those truncated away after a copy was made.
func (f *Follower) adopt(found []candidate, list *listing) {
	var others []candidate
	looked := false
	for _, g := range f.gens {
		if g.src != nil || g.missing || f.adoptFrom(g, found) {
			continue
		}
		// A name that says nothing may have been chosen by an operator. What a
		// file holds says enough.
		if !looked {
			paths := slices.Clone(list.strangers)
			for _, e := range list.kin {
				paths = append(paths, e.path)
			}
			others, looked = f.sightStrangers(paths, list.entries), true
		}
		for i := range others {
			others[i].series = g.series
		}
		f.adoptFrom(g, others)
	}
}

// sightStrangers looks into files that do not belong to a series by their names.
func (f *Follower) sightStrangers(paths []string, entries []entry) []candidate {
	const limit = 256
	var found []candidate
	for _, path := range paths[:min(limit, len(paths))] {
		info, err := os.Stat(path)
		if err != nil || !info.Mode().IsRegular() ||
			slices.ContainsFunc(entries, func(e entry) bool { return e.key == keyOf(info) }) {
			continue
		}
		e := &entry{path: path, key: keyOf(info), size: info.Size(), mtime: info.ModTime()}
		_, e.format = cutFormat(filepath.Base(path))
		e.moved, e.relation = true, beside
		if s, err := f.look(e); err == nil && s.unreadable == "" {
			found = append(found, candidate{entry: e, sighting: s})
		}
	}
	return found
}

// adoptFrom makes the file that continues g its source, and reports whether
// there is one or a shorter copy, which holds nothing more.
func (f *Follower) adoptFrom(g *generation, found []candidate) bool {
	var rests, copies []*candidate
	for i := range found {
		c := &found[i]
		if !f.mayBe(c, g) || f.open(c.key) != nil || f.isFurther(g, c) {
			continue
		}
		switch f.compare(g, c) {
		case continues:
			rests = append(rests, c)
		case shorter:
			copies = append(copies, c)
		}
	}
	// Where so little was read that several files may be meant, it is none that was
	// done with before.
	unsettled := func(c *candidate) bool { return c.live || c.mtime.After(f.settled) }
	if slices.ContainsFunc(rests, unsettled) {
		rests = slices.DeleteFunc(rests, func(c *candidate) bool { return !unsettled(c) })
	}
	if c := f.original(rests); c != nil {
		if err := f.attach(g, c); err != nil {
			f.rescan = true
			return false
		}
		c.of, c.done = g, true
		return true
	}
	for _, c := range copies {
		c.of, c.done = g, true
		g.found, g.restored = f.now, false
	}
	return len(copies) > 0
}

// isFurther reports whether c continues another generation with the same first
// line of which more was read, and is thus that one's.
func (f *Follower) isFurther(g *generation, c *candidate) bool {
	return slices.ContainsFunc(slices.Concat(f.gens, f.past), func(other *generation) bool {
		return other != g && other.offset > g.offset && f.mayBe(c, other) && f.compare(other, c) == continues
	})
}

// original chooses among files that all hold what was read of a generation,
// oldest first. One that another goes on from is a copy of that. Of those that
// differ in what follows the oldest is taken, because the newer ones will be
// read after it.
func (f *Follower) original(rests []*candidate) *candidate {
	for i, c := range rests {
		copied := slices.ContainsFunc(rests[i+1:], func(d *candidate) bool { return f.goesOn(c, d) }) ||
			slices.ContainsFunc(rests[:i], func(d *candidate) bool { return d.size > c.size && f.goesOn(c, d) })
		if !copied {
			return c
		}
	}
	return nil
}

// goesOn reports whether d holds all that c does.
func (f *Follower) goesOn(c, d *candidate) bool {
	if !c.began.IsZero() && !d.began.IsZero() && !c.began.Equal(d.began) {
		return false
	}
	if c.format != plainText || d.format != plainText {
		return d.format == plainText
	}
	if d.size < c.size {
		return false
	}
	csrc, err := c.open()
	if err != nil {
		return false
	}
	defer csrc.close()
	dsrc, err := d.open()
	if err != nil {
		return false
	}
	defer dsrc.close()
	same, err := sameUntilShorterEnds(csrc, dsrc)
	return err == nil && same
}

// belongs reports whether c is of the series of g, which an earlier version may
// have named otherwise.
func (c *candidate) belongs(g *generation) bool {
	return g.series == c.series || g.recalled && c.before != "" && g.series == c.before
}

// mayBe reports whether c begins like g and may thus be its file or a copy. What
// begins alike in a file after it was truncated, or in another that is opened by
// the writer, is another generation.
func (f *Follower) mayBe(c *candidate, g *generation) bool {
	switch {
	case c.id != g.id, !c.belongs(g), c.key == g.cutKey:
		return false
	case !g.began.IsZero() && !c.began.IsZero() && !g.began.Equal(c.began):
		return false // Only what comes before the first time is the same.
	case c.live:
		return g.key == c.key || g.key == fileKey{} && !(g.ended && f.started) || f.mayReplace(c, g)
	default:
		return true
	}
}

// mayReplace reports whether c may be a copy that was put in the place of the file
// of g: that has no name any more that rotation gives, and c is no shorter. A
// program that edits a file or brings it up to date from elsewhere does so.
func (f *Follower) mayReplace(c *candidate, g *generation) bool {
	if g.src == nil || g.src.format != plainText || f.named[g.key] || !g.superseded.IsZero() {
		return false
	}
	info, err := g.src.stat()
	return err == nil && c.size >= info.Size() && info.Size() >= g.offset
}

// replace goes on reading g in c.
func (f *Follower) replace(g *generation, c *candidate) {
	f.forgetWindow(g)
	old := g.src
	if err := f.attach(g, c); err != nil {
		c.of, c.done, f.rescan = nil, false, true
		return
	}
	old.close()
	f.cfg.Logger.Info("file replaced by a copy", "generation", g.name, "path", g.path)
}

// compare opens c and compares it with g. A file that cannot be read counts as
// different and is looked at again by the next scan.
func (f *Follower) compare(g *generation, c *candidate) match {
	src, err := c.open()
	if err != nil {
		f.rescan = true
		return differs
	}
	defer src.close()
	m, err := g.compare(c, src)
	if err == nil && m == differs && g.src != nil {
		var ok bool
		if ok, err = f.intact(g); err == nil && !ok {
			// It was compared with what has taken the place of g.
			f.cut(g)
			m, err = g.compare(c, src)
		}
	}
	if err != nil {
		f.rescan = true
		return differs
	}
	return m
}

// attach makes c what g is read from.
func (f *Follower) attach(g *generation, c *candidate) error {
	e := c.entry
	src, err := e.open()
	if err != nil {
		return err
	}
	tail, err := src.before(g.offset)
	if err != nil {
		src.close()
		return err
	}
	g.setTail(tail)
	g.src, g.path, g.live, g.found = src, e.path, e.live, f.now
	g.wasLive = g.wasLive || e.live
	g.key = e.key
	g.seen, g.eof, g.searched = nil, false, 0
	g.mtime, g.changed = e.mtime, earlier(e.mtime, f.now)
	g.restored, g.missing = false, false
	g.series, g.began, g.form = c.series, c.began, c.form
	if e.compressed() {
		g.guess = cmp.Or(src.trailer(), e.size)
		g.grown.note(g.guess, g.changed)
	}
	return nil
}
