package follow

import (
	"bytes"
	"cmp"
	"slices"
)

// takeUp decides about every file that is not yet accounted for: it is a copy
// of a known generation, or was read by an earlier run, or is new. If a file
// changes its place meanwhile all is left for the next scan, so that generations
// are always taken up in their order.
func (f *Follower) takeUp(found []candidate, list *listing) {
	var open []*candidate
	for i := range found {
		c := &found[i]
		if !c.done && c.id != "" && (c.complete || f.abandoned(c, list.entries)) && !f.isCopy(c, nil) {
			open = append(open, c)
		}
	}
	if len(open) == 0 {
		return
	}
	read := f.readBefore(list.entries)
	copiesLast(open, read)
	var decided []*generation
	for _, c := range open {
		if f.rescan || f.isCopy(c, decided) {
			continue
		}
		g, err := f.begin(c, !c.live && (read[c.key] || f.ignoring()))
		if err != nil {
			f.rescan = true
			continue
		}
		decided = append(decided, g)
		c.of, c.done = g, true
	}
	if f.rescan || !f.steady(list) {
		f.rescan = true
		for _, c := range open {
			c.of, c.done = nil, false
		}
		for _, g := range decided {
			g.close()
		}
		return
	}
	var fresh []*generation
	for _, g := range decided {
		if g.ended {
			f.past = append(f.past, g)
			f.cfg.Logger.Debug("file passed over", "generation", g.id, "path", g.path, "modified", g.mtime)
			continue
		}
		fresh = append(fresh, g)
		f.stats.GenerationsSeen++
		f.cfg.Logger.Info("file begun", "generation", g.id, "path", g.path)
	}
	fresh = byAge(found, fresh)
	f.gens = append(f.gens, fresh...)
	f.noteHoles(fresh)
}

// copiesLast sorts files so that each comes before its copies: live files, which
// are no copies, then what was read before, and the longest first.
func copiesLast(files []*candidate, read map[fileKey]bool) {
	rank := func(c *candidate) int {
		switch {
		case c.live:
			return 0
		case read[c.key]:
			return 1
		case !c.zipped:
			return 2
		default:
			return 3
		}
	}
	slices.SortStableFunc(files, func(a, b *candidate) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(b.size, a.size))
	})
}

// abandoned reports whether a file that holds only an incomplete line will
// never hold more: it was left alone, and its lane has gone on.
func (f *Follower) abandoned(c *candidate, entries []entry) bool {
	if c.live || f.now.Sub(c.mtime) < f.cfg.Grace {
		return false
	}
	i := slices.IndexFunc(entries, func(e entry) bool { return e.key == c.key })
	return slices.ContainsFunc(entries[i+1:], func(e entry) bool {
		s := f.sightings[e.key]
		return e.lane == c.lane && (f.open(e.key) != nil || s != nil && s.complete)
	})
}

// readBefore returns the rotated files that an earlier run has read: what was
// last modified before the settled time, and what is older in its lane than a
// file that was read. If a file is newer in its lane than one that was read, and
// yet was modified before it, the clock was set back, and it is not to be
// taken for read.
func (f *Follower) readBefore(entries []entry) map[fileKey]bool {
	read := make(map[fileKey]bool)
	for i := range entries {
		e := &entries[i]
		if e.live {
			continue
		}
		old := !e.mtime.After(f.settled)
		older, setBack := false, false
		for j := range entries {
			other := &entries[j]
			if other.lane != e.lane || !f.hasRead(other.key) {
				continue
			}
			older = older || j > i
			setBack = setBack || j < i && other.mtime.After(e.mtime)
		}
		switch {
		case older:
			// One that turns up among older ones while following was missed.
			read[e.key] = old || !f.started
		default:
			read[e.key] = old && !setBack
		}
	}
	return read
}

// hasRead reports whether something of the file key was read.
func (f *Follower) hasRead(key fileKey) bool {
	g := f.open(key)
	if s := f.sightings[key]; g == nil && s != nil {
		g = s.of
	}
	return g != nil && g.offset > 0
}

// isCopy reports whether c is a file that a known generation was read from, or
// a copy of it. If it has more than was there when the generation ended, reading
// goes on.
func (f *Follower) isCopy(c *candidate, fresh []*generation) bool {
	for _, g := range slices.Concat(f.gens, f.past, fresh) {
		if !c.mayBe(g) {
			continue
		}
		m := f.compare(g, c)
		if f.rescan {
			return true
		}
		if m == differs {
			continue
		}
		if g.ended && slices.Contains(fresh, g) {
			// Whether c holds more is asked when g is settled, by the next scan.
			return true
		}
		g.found = f.now
		c.of, c.done = g, true
		f.cfg.Logger.Debug("file known", "generation", g.id, "path", c.path)
		if g.mtime.IsZero() {
			g.mtime = c.mtime
		}
		if m == continues && g.ended && !g.lost {
			f.resume(g, c)
		}
		return true
	}
	return false
}

// resume goes on reading a generation that had ended, if c holds more of it.
func (f *Follower) resume(g *generation, c *candidate) {
	err := f.attach(g, c.entry)
	n := 0
	if err == nil {
		var next [1]byte
		n, err = g.src.readAt(next[:], g.offset)
	}
	if err != nil {
		c.of, c.done, f.rescan = nil, false, true
	}
	if n == 0 {
		g.close()
		return
	}
	g.ended = false
	f.past = slices.DeleteFunc(f.past, func(p *generation) bool { return p == g })
	f.gens = slices.Insert(f.gens, 0, g)
	f.cfg.Logger.Info("ended file has grown", "generation", g.id, "path", g.path)
}

// begin returns the generation that c holds and that was never seen before. One
// that is not to be read has ended.
func (f *Follower) begin(c *candidate, over bool) (*generation, error) {
	g := newGeneration(c.lane, c.id)
	if err := f.attach(g, c.entry); err != nil {
		return nil, err
	}
	g.hole = c.hole
	start, err := int64(0), error(nil)
	switch {
	case over && c.zipped:
		g.unsized = true
	case over:
		start = c.size
	case f.ignoring() && f.cfg.Start == End:
		start, err = lastNewline(g.src, c.size, f.head)
	}
	if err == nil {
		err = g.skipTo(start)
	}
	if err != nil || over {
		g.close()
	}
	g.ended = over
	return g, err
}

// noteHoles uses the holes that fresh generations begin with. A writer that
// goes on at its old offset after a truncation leaves NULs up to there, so the
// length of the hole is the length that the truncated generation had.
func (f *Follower) noteHoles(fresh []*generation) {
	for _, g := range fresh {
		before := f.gens[:slices.Index(f.gens, g)]
		for _, older := range slices.Backward(before) {
			if older.lane != g.lane {
				continue
			}
			if g.hole > older.size && (older.wasCut || !older.wasLive) {
				older.size, older.wasCut = g.hole, true
			}
			break
		}
	}
}

// lastNewline returns the offset after the last newline of src before end.
func lastNewline(src *source, end int64, buf []byte) (int64, error) {
	for end > 0 {
		start := max(0, end-int64(len(buf)))
		n, err := src.readAt(buf[:end-start], start)
		if err != nil {
			return 0, err
		}
		if i := bytes.LastIndexByte(buf[:n], '\n'); i >= 0 {
			return start + int64(i) + 1, nil
		}
		end = start
	}
	return 0, nil
}

// byAge returns the fresh generations of all lanes, which found holds lane by
// lane in order of age, by the age of the oldest that is left in each lane.
func byAge(found []candidate, fresh []*generation) []*generation {
	var lanes [][]*generation
	for i, c := range found {
		if i == 0 || found[i-1].lane != c.lane {
			lanes = append(lanes, nil)
		}
		isItsFile := func(g *generation) bool { return g.src.key == c.key }
		if i := slices.IndexFunc(fresh, isItsFile); i >= 0 {
			last := len(lanes) - 1
			lanes[last] = append(lanes[last], fresh[i])
		}
	}
	sorted := make([]*generation, 0, len(fresh))
	for {
		lanes = slices.DeleteFunc(lanes, func(lane []*generation) bool { return len(lane) == 0 })
		if len(lanes) == 0 {
			return sorted
		}
		oldest := slices.MinFunc(lanes, func(a, b []*generation) int { return a[0].mtime.Compare(b[0].mtime) })
		i := slices.IndexFunc(lanes, func(lane []*generation) bool { return lane[0] == oldest[0] })
		sorted = append(sorted, lanes[i][0])
		lanes[i] = lanes[i][1:]
	}
}
