package follow

import (
	"bytes"
	"cmp"
	"slices"
)

// takeUp decides about every file that is not yet accounted for: it is a copy
// of a known generation, or was read by an earlier run, or is new. If a file
// changes its place meanwhile nothing is taken up before the next scan, so that
// generations are always taken up in their order.
func (f *Follower) takeUp(found []candidate, entries []entry) {
	read := f.readBefore(entries)
	var fresh []*generation
	for _, c := range copiesLast(found) {
		if f.rescan {
			break
		}
		if c.done || c.id == "" || !c.complete && !f.abandoned(c, entries) || f.isCopy(c, fresh) {
			continue
		}
		if !c.live && (read[c.key] || f.ignoring()) {
			f.passOver(c)
		} else if g := f.begin(c); g != nil {
			fresh = append(fresh, g)
		}
	}
	if f.rescan {
		for _, c := range found {
			if slices.Contains(fresh, c.of) {
				c.of, c.done = nil, false
			}
		}
		for _, g := range fresh {
			g.close()
		}
		return
	}
	for _, g := range fresh {
		f.stats.GenerationsSeen++
		f.cfg.Logger.Info("file begun", "generation", g.id, "path", g.path)
	}
	fresh = byAge(found, fresh)
	f.gens = append(f.gens, fresh...)
	f.noteHoles(fresh)
}

// copiesLast returns found in an order in which a file comes before its copies:
// live files, which are no copies, and then the longest first.
func copiesLast(found []candidate) []*candidate {
	order := make([]*candidate, len(found))
	for i := range found {
		order[i] = &found[i]
	}
	slices.SortStableFunc(order, func(a, b *candidate) int {
		switch {
		case a.live != b.live && a.live, a.zipped != b.zipped && b.zipped:
			return -1
		case a.live != b.live, a.zipped != b.zipped:
			return 1
		default:
			return cmp.Compare(b.size, a.size)
		}
	})
	return order
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

// readBefore returns the files that need not be read because something newer
// was. In a lane of which a file was read before, the order of the files
// decides: it holds even if the clock was set back. Otherwise, and for a file
// that turns up among older ones while following, the settled time does.
func (f *Follower) readBefore(entries []entry) map[fileKey]bool {
	read := make(map[fileKey]bool)
	known, lane := false, ""
	for _, e := range slices.Backward(entries) {
		if e.lane != lane {
			known, lane = false, e.lane
		}
		old := !e.mtime.After(f.settled)
		switch {
		case e.live:
		case !known:
			read[e.key] = old && !f.anyRead(entries, lane)
		default:
			read[e.key] = old || !f.started
		}
		known = known || f.hasRead(e.key)
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

func (f *Follower) anyRead(entries []entry, lane string) bool {
	return slices.ContainsFunc(entries, func(e entry) bool { return e.lane == lane && f.hasRead(e.key) })
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
		g.found = f.now
		c.of, c.done = g, true
		if m == continues && g.ended && !g.lost && (c.zipped || c.size > g.offset) {
			f.resume(g, c)
		}
		return true
	}
	return false
}

// resume goes on reading a generation that had ended.
func (f *Follower) resume(g *generation, c *candidate) {
	if err := f.attach(g, c.entry); err != nil {
		c.done, f.rescan = false, true
		return
	}
	g.ended = false
	f.past = slices.DeleteFunc(f.past, func(p *generation) bool { return p == g })
	f.gens = slices.Insert(f.gens, 0, g)
	f.cfg.Logger.Info("ended file has grown", "generation", g.id, "path", g.path)
}

// passOver accounts for a file that is not to be read.
func (f *Follower) passOver(c *candidate) {
	g := newGeneration(c.lane, c.id)
	if err := f.attach(g, c.entry); err != nil {
		f.rescan = true
		return
	}
	g.ended, g.unsized = true, c.zipped
	if !c.zipped {
		if err := g.skipTo(c.size); err != nil {
			g.unsized = true
		}
	}
	g.close()
	c.of, c.done = g, true
	f.past = append(f.past, g)
	if settled := earlier(c.mtime, f.now); f.ignoring() && settled.After(f.settled) {
		f.settled = settled
	}
}

// begin takes up a generation that was never seen before.
func (f *Follower) begin(c *candidate) *generation {
	g := newGeneration(c.lane, c.id)
	if err := f.attach(g, c.entry); err != nil {
		f.rescan = true
		return nil
	}
	if f.ignoring() && f.cfg.Start == End {
		end, err := lastNewline(g.src, g.size, f.head)
		if err == nil {
			err = g.skipTo(end)
		}
		if err != nil {
			g.close()
			f.rescan = true
			return nil
		}
	}
	g.hole = c.hole
	c.of, c.done = g, true
	return g
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
