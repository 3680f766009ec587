package follow

// advance returns the rest of g that can be read, and gives g up when it has ended.
func (f *Follower) advance(g *generation) outcome {
	if g.src == nil {
		return f.reportLost(g)
	}
	if g.offset == 0 && !g.lost && f.full() {
		return caughtUp
	}
	o := f.drain(g)
	if o == caughtUp && g.eof && g.offset == g.end {
		g.drained = f.now
	}
	if o == caughtUp && f.hasEnded(g) {
		return f.finish(g)
	}
	return o
}

// hasEnded reports whether nothing more is to be expected of g. As long as
// nothing newer has come to its place, a file that was moved or deleted is still
// the one its writer may have open.
func (f *Follower) hasEnded(g *generation) bool {
	switch {
	case !g.eof || g.live:
		return false
	case g.superseded.IsZero() && (!f.unlinked(g) || !f.hasPattern()):
		return false
	case (g.wasCut || g.src.format != plainText) && g.src.short == "":
		// What is read is a copy, to which nothing will be added.
		return true
	default:
		return f.now.Sub(g.changed) >= f.cfg.Grace
	}
}

// unlinked reports whether no name leads to g or a copy of it any more. One scan
// may miss a file that is being renamed.
func (f *Follower) unlinked(g *generation) bool {
	return f.now.Sub(g.found) > f.cfg.Grace
}

// holdsUp reports whether newer generations must wait for g, because the rest
// of its last line may still come. They wait no longer than Config.Grace.
func (f *Follower) holdsUp(g *generation) bool {
	if g.src != nil && g.offset == 0 && !g.superseded.IsZero() && f.full() {
		return true
	}
	return g.src != nil && !g.superseded.IsZero() && f.now.Sub(g.superseded) < f.cfg.Grace &&
		(g.partial() || g.src.short != "")
}

// finish returns the last of a generation that has ended and closes it.
func (f *Follower) finish(g *generation) outcome {
	if g.partial() {
		if o := f.flush(g); o != caughtUp || !f.hasEnded(g) {
			return o
		}
	}
	reason := "the only copy of a truncated file ends before the file did"
	if g.src.short != "" {
		reason = g.src.short
	}
	if (g.unread() > 0 || g.src.short != "") && !f.reportGap(g, reason) {
		return batchFull
	}
	f.stats.GenerationsDrained++
	f.cfg.Logger.Info("file drained", "generation", g.name, "path", g.path, "bytes", g.offset)
	f.end(g)
	return caughtUp
}

// reportLost returns a gap for a generation of which no file is left.
func (f *Follower) reportLost(g *generation) outcome {
	if !g.missing {
		return caughtUp
	}
	if g.restored && !g.wasDrained || g.unread() > 0 || g.unreadable != "" {
		reason := "the file was truncated or lost before it was read to its end, and no copy of it was found"
		switch {
		case g.unreadable != "":
			reason = g.unreadable
		case g.restored:
			reason = "no file holds the generation that was being read before the restart"
		}
		if !f.reportGap(g, reason) {
			return batchFull
		}
	}
	// What comes to its place may begin with a hole that says how long it was.
	if g.restored || g.unreadable != "" || !g.superseded.IsZero() {
		f.end(g)
	}
	return caughtUp
}

// reportGap returns the unread rest of g as lost, if the batch has room.
func (f *Follower) reportGap(g *generation, reason string) bool {
	if !f.room(0) {
		return false
	}
	f.forgetWindow(g)
	start := max(g.offset, g.lostTo)
	g.lost, g.lostTo = true, max(start, g.size)
	path := g.path
	if path == "" {
		path = f.cfg.Path
	}
	f.cfg.Logger.Warn("bytes lost", "generation", g.name, "path", path, "from", start, "to", g.lostTo, "reason", reason)
	f.batch.add(f, nil, Line{
		File: path, Generation: g.name, Start: start, End: g.lostTo, Kind: Gap, Reason: reason,
	})
	return true
}

func (f *Follower) forgetWindow(g *generation) {
	if f.win.g == g {
		f.win.release()
	}
}

// end closes g.
func (f *Follower) end(g *generation) {
	f.forgetWindow(g)
	if g.src != nil && g.src.format == plainText {
		g.lastAt = f.lastOf(g)
		if info, err := g.src.stat(); err == nil {
			g.deleted = links(info) == 0
		}
	}
	g.close()
	g.ended = true
	f.past = append(f.past, g)
}
