package follow

import (
	"bytes"
	"cmp"
	"slices"
	"time"
)

// startNew decides about every file that is not yet accounted for: it is a copy
// of a known generation, or was read by an earlier run, or is new. If a file
// changes its place meanwhile all is left for the next scan, so that generations
// are always started in their order.
func (f *Follower) startNew(found []candidate, list *listing) {
	var open []*candidate
	moved := f.movedOutOfSight(list)
	for i := range found {
		c := &found[i]
		if !c.done && c.id != "" && (c.complete || f.abandoned(c, list.entries)) && !f.isCopy(c, nil) &&
			(c.relation == known || f.follows(c, list, moved[c.series])) {
			open = append(open, c)
		}
	}
	if len(open) == 0 {
		return
	}
	f.matchUnreadable(open)
	read := f.readBefore(open, list.entries)
	copiesLast(open, read)
	var decided []*generation
	short := make(map[string]bool) // series with a file that cannot be opened yet
	for _, c := range open {
		if f.rescan || c.done || c.wait || f.isCopy(c, decided) {
			continue
		}
		g, err := f.begin(c, !c.live && (read[c.key] || f.ignoring()))
		switch {
		case outOfDescriptors(err):
			f.deferred++
			f.holdSettled(c.mtime)
			short[c.series] = true
			continue
		case err != nil:
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
	var fresh, passed []*generation
	for _, g := range decided {
		switch {
		case g.ended:
			passed = append(passed, g)
			f.cfg.Logger.Debug("file passed over", "generation", g.name, "path", g.path, "modified", g.mtime)
		case short[g.series]:
			f.putOff(g, open)
		default:
			fresh = append(fresh, g)
			f.stats.GenerationsBegun++
		}
	}
	slices.SortStableFunc(passed, func(a, b *generation) int { return a.mtime.Compare(b.mtime) })
	f.past = slices.Concat(passed, f.past)
	fresh = byAge(found, fresh)
	for _, g := range fresh {
		f.number(g)
		f.gens = append(f.gens, g)
		f.cfg.Logger.Info("file begun", "generation", g.name, "path", g.path)
	}
	f.noteHoles(fresh)
}

// putOff leaves g, which was begun, for a later scan: an older file of its series
// must be read before it.
func (f *Follower) putOff(g *generation, open []*candidate) {
	f.deferred++
	g.close()
	for _, c := range open {
		if c.of == g {
			c.of, c.done = nil, false
			f.holdSettled(c.mtime)
		}
	}
}

// number makes the name of g differ from those of generations with the same
// first line, of which the newest is always known.
func (f *Follower) number(g *generation) {
	n := 1
	for _, other := range slices.Concat(f.gens, f.past) {
		if other.id == g.id && !other.passed {
			n = max(n, other.nth+1)
		}
	}
	g.setNth(n)
}

// matchUnreadable finds out which files that cannot be read are those of known
// generations: one compressed in place keeps its modification time. After a start
// the oldest that was modified after the settled time is taken for what is missing
// of the checkpoint, so that one gap says so. One that is still being written is
// left for a later scan.
func (f *Follower) matchUnreadable(open []*candidate) {
	for _, c := range open {
		if c.unreadable == "" {
			continue
		}
		same := func(g *generation) bool {
			if !c.belongs(g) {
				return false
			}
			if g.src != nil {
				_, _ = f.measure(g) // What cannot be measured has the time it had.
			}
			return !g.mtime.IsZero() && g.mtime.Truncate(time.Second).Equal(c.mtime.Truncate(time.Second))
		}
		missing := func(g *generation) bool {
			return c.belongs(g) && g.src == nil && g.restored && !g.missing && c.mtime.After(f.settled.Add(tick))
		}
		all := slices.Concat(f.past, f.gens)
		if i := slices.IndexFunc(all, same); i >= 0 {
			c.of, c.done, all[i].found = all[i], true, f.now
			continue
		}
		if !f.leftAlone(c.mtime) {
			c.wait = true
			f.holdSettled(c.mtime)
			continue
		}
		if i := slices.IndexFunc(all, missing); i >= 0 {
			g := all[i]
			if g.wasDrained {
				c.of, c.done = g, true
			}
			g.wasDrained, g.missing, g.superseded, g.mtime = true, true, f.now, c.mtime
		}
	}
}

// copiesLast sorts files so that each comes before its copies: live files, which
// are no copies, then what was read before, and the longest first. A file without
// a name comes last: names say in which order to read.
func copiesLast(files []*candidate, read map[fileKey]bool) {
	rank := func(c *candidate) int {
		switch {
		case c.live:
			return 0
		case read[c.key]:
			return 1
		case c.held != nil:
			return 4
		case !c.compressed():
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
// never hold more: it was left alone, and its series has gone on.
func (f *Follower) abandoned(c *candidate, entries []entry) bool {
	if c.live || !f.leftAlone(c.mtime) {
		return false
	}
	i := slices.IndexFunc(entries, func(e entry) bool { return e.key == c.key })
	return slices.ContainsFunc(entries[i+1:], func(e entry) bool {
		s := f.sightings[e.key]
		return e.series == c.series && (f.open(e.key) != nil || s != nil && s.complete)
	})
}

// leftAlone reports whether a file that was modified at a time is written no more.
// One of the future was set to it.
func (f *Follower) leftAlone(modified time.Time) bool {
	return f.now.Sub(modified).Abs() >= f.cfg.Grace
}

// readBefore returns those of open, rotated files, that an earlier run has read.
// The order of files tells: what is newer than all of its series that was read is
// not read, regardless of its modification time, for the clock may have been set back.
// What is older was read if it was last modified before the settled time, or if
// it was touched later and its lines are from before. If all is gone that the
// checkpoint names of a series, retention has removed what is older, too.
func (f *Follower) readBefore(open []*candidate, entries []entry) map[fileKey]bool {
	read := make(map[fileKey]bool)
	for _, c := range open {
		if c.live {
			continue
		}
		at := slices.IndexFunc(entries, func(e entry) bool { return e.key == c.key })
		older, any := false, false
		for j := range entries {
			if other := &entries[j]; other.series == c.series && f.hasRead(other.key) {
				older, any = older || j > at, true
			}
		}
		settled := f.settled
		if c.unreadable != "" {
			settled = settled.Add(tick) // What ended last cannot be known by what it holds.
		}
		old := !c.mtime.After(settled)
		switch {
		case older:
			read[c.key] = old || !f.started && (f.nothingEnded() || f.touched(c))
		case any && c.unreadable == "":
		default:
			gone := func(g *generation) bool { return g.restored && c.belongs(g) }
			read[c.key] = old && (f.cfg.From.Settled.IsZero() || !slices.ContainsFunc(f.gens, gone))
		}
	}
	return read
}

// nothingEnded reports whether the checkpoint is of version 1.0 and of a source of
// which nothing had ended, so that what is older was there before the first start.
func (f *Follower) nothingEnded() bool { return f.cfg.From.Settled.Equal(time.Unix(0, 0)) }

// touched reports whether the lines of c were written before the settled time,
// though it was modified later.
func (f *Follower) touched(c *candidate) bool {
	at := f.ended(c)
	return !at.IsZero() && !at.After(f.settled)
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
		if !f.mayBe(c, g) {
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
		f.cfg.Logger.Debug("file known", "generation", g.name, "path", c.path)
		if g.mtime.IsZero() {
			g.mtime, g.series, g.began = c.mtime, c.series, c.began
		}
		switch {
		case c.live && g.src != nil && c.key != g.key:
			f.replace(g, c)
		case m == continues && g.ended && !g.lost && c.relation == known:
			f.resume(g, c)
		}
		return true
	}
	return false
}

// resume goes on reading a generation that had ended, if c holds more of it.
func (f *Follower) resume(g *generation, c *candidate) {
	err := f.attach(g, c)
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
	f.cfg.Logger.Info("ended file has grown", "generation", g.name, "path", g.path)
}

// begin returns the generation that c holds and that was never seen before. One
// that is not to be read has ended.
func (f *Follower) begin(c *candidate, over bool) (*generation, error) {
	g := newGeneration(c.series, c.id)
	if c.unreadable != "" {
		g.path, g.key, g.mtime, g.found, g.began = c.path, c.key, c.mtime, f.now, c.began
		g.passed, g.ended, g.unsized = over, over, over
		g.missing, g.superseded, g.unreadable = !over, f.now, unreadable(c)
		return g, nil
	}
	if err := f.attach(g, c); err != nil {
		return nil, err
	}
	g.hole, g.passed = c.hole, over
	start, err := int64(0), error(nil)
	switch {
	case over && c.compressed():
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
			if older.series != g.series {
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

// byAge returns the fresh generations of all series, which found holds series by
// series in order of age, by the age of the oldest that is left in each series.
func byAge(found []candidate, fresh []*generation) []*generation {
	var series [][]*generation
	for i, c := range found {
		if i == 0 || found[i-1].series != c.series {
			series = append(series, nil)
		}
		isItsFile := func(g *generation) bool { return g.key == c.key }
		if i := slices.IndexFunc(fresh, isItsFile); i >= 0 {
			last := len(series) - 1
			series[last] = append(series[last], fresh[i])
		}
	}
	sorted := make([]*generation, 0, len(fresh))
	for {
		series = slices.DeleteFunc(series, func(series []*generation) bool { return len(series) == 0 })
		if len(series) == 0 {
			return sorted
		}
		oldest := slices.MinFunc(series, func(a, b []*generation) int { return a[0].mtime.Compare(b[0].mtime) })
		i := slices.IndexFunc(series, func(series []*generation) bool { return series[0] == oldest[0] })
		sorted = append(sorted, series[i][0])
		series[i] = series[i][1:]
	}
}
