package follow

import "slices"

// beginSegment writes the parts of the checkpoint that stay the same while
// lines of g are returned. It lists, oldest first, the generations that ended
// last and those that were begun.
func (f *Follower) beginSegment(g *generation) {
	f.win.save()
	b := &f.batch
	s := segment{line: len(b.Lines), g: g, base: f.win.base, floor: f.win.first, start: len(b.rendered)}
	b.rendered = appendSettled(b.rendered, f.settled)
	s.split = len(b.rendered)
	comma := func() {
		if b.rendered[len(b.rendered)-1] != ';' {
			b.rendered = append(b.rendered, ',')
		}
	}
	kept := f.listed(g)
	for _, other := range kept {
		comma()
		if other != g {
			b.rendered = other.appendPosition(b.rendered)
			continue
		}
		b.rendered = appendGeneration(b.rendered, g.lane, g.id)
		s.split = len(b.rendered)
	}
	s.end = len(b.rendered)
	b.segments = append(b.segments, s)
}

// listed returns the generations that a checkpoint after a line of g lists. Those
// that ended are listed as long as the settled time does not cover them.
func (f *Follower) listed(g *generation) []*generation {
	kept := f.order[:0]
	for _, ended := range slices.Backward(f.past) {
		if !ended.unsized && (len(kept) < endedKept || ended.mtime.After(f.settled)) {
			kept = append(kept, ended)
		}
	}
	slices.Reverse(kept)
	for _, other := range f.gens {
		if other == g || !other.ended && (other.offset > 0 || other.lost) {
			kept = append(kept, other)
		}
	}
	for len(kept) > maxPositions {
		oldest := 0
		if kept[0] == g {
			oldest = 1
		}
		kept = slices.Delete(kept, oldest, oldest+1)
	}
	f.order = kept
	return kept
}
