package follow

import (
	"cmp"
	"os"
	"slices"
	"strings"
)

// adopt finds the files that hold the rest of generations without one: those of
// the checkpoint after a start, and those truncated away after a copy was made.
func (f *Follower) adopt(found []candidate, strangers []string) {
	for _, g := range f.gens {
		if g.src != nil || g.missing {
			continue
		}
		if f.adoptFrom(g, found) {
			continue
		}
		// A name that says nothing may have been chosen by an operator. What a
		// file holds says enough.
		f.adoptFrom(g, f.sightStrangers(strangers, g.lane))
	}
}

// sightStrangers looks into files that do not belong to the lane by their names.
func (f *Follower) sightStrangers(paths []string, lane string) []candidate {
	const limit = 256
	var found []candidate
	for _, path := range paths[:min(limit, len(paths))] {
		info, err := os.Stat(path)
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		e := &entry{path: path, key: keyOf(info), size: info.Size(), mtime: info.ModTime()}
		e.lane, e.moved, e.zipped = lane, true, strings.HasSuffix(path, ".gz")
		if f.sightings[e.key] != nil {
			continue
		}
		if s, err := f.sight(e); err == nil {
			found = append(found, candidate{e, s})
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
		if !c.mayBe(g) || f.open(c.key) != nil || f.isFurther(g, c) {
			continue
		}
		switch f.compare(g, c) {
		case continues:
			rests = append(rests, c)
		case shorter:
			copies = append(copies, c)
		}
	}
	if c := f.original(rests); c != nil {
		if err := f.attach(g, c.entry); err != nil {
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
		return other != g && other.offset > g.offset && c.mayBe(other) && f.compare(other, c) == continues
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
	if c.zipped || d.zipped {
		return !d.zipped
	}
	if d.size < c.size {
		return false
	}
	csrc, err := openSource(c.path, c.key, false)
	if err != nil {
		return false
	}
	defer csrc.close()
	dsrc, err := openSource(d.path, d.key, false)
	if err != nil {
		return false
	}
	defer dsrc.close()
	same, err := sameUntilShorterEnds(csrc, dsrc)
	return err == nil && same
}

// mayBe reports whether c begins like g and may thus be its file or a copy. What
// begins alike in a file after it was truncated, or in another that is opened by
// the writer, is another generation.
func (c *candidate) mayBe(g *generation) bool {
	switch {
	case c.id != g.id, g.lane != c.lane, c.key == g.cutKey:
		return false
	case c.live:
		return g.key == c.key || g.key == fileKey{}
	default:
		return true
	}
}

// compare opens c and compares it with g. A file that cannot be read counts as
// different and is looked at again by the next scan.
func (f *Follower) compare(g *generation, c *candidate) match {
	src, err := openSource(c.path, c.key, c.zipped)
	if err != nil {
		f.rescan = true
		return differs
	}
	defer src.close()
	m, err := g.compare(c.entry, src)
	if err == nil && m == differs && g.src != nil {
		var ok bool
		if ok, err = f.intact(g); err == nil && !ok {
			// It was compared with what has taken the place of g.
			f.cut(g)
			m, err = g.compare(c.entry, src)
		}
	}
	if err != nil {
		f.rescan = true
		return differs
	}
	return m
}

// attach makes e what g is read from.
func (f *Follower) attach(g *generation, e *entry) error {
	src, err := openSource(e.path, e.key, e.zipped)
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
	if e.zipped {
		g.guess = cmp.Or(src.trailer(), e.size)
		g.grown.note(g.guess, g.changed)
	}
	return nil
}
