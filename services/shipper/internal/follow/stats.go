package follow

import (
	"os"
	"time"
)

// Stats is what a Follower knows about its source and its own work. Counters
// count from Open.
type Stats struct {
	// LagBytes are the bytes written and not yet returned by Next, over all
	// generations; LagLines the same in lines, estimated from the mean line.
	LagBytes, LagLines int64
	// OldestUnread is for how long the oldest unread byte has been there, at
	// least; zero if there is none.
	OldestUnread time.Duration
	// OpenFiles are the files being held open, OpenGenerations the generations
	// that are not yet read to their end, be there a file or not.
	OpenFiles, OpenGenerations int

	GenerationsBegun   int64 // begun
	GenerationsDrained int64 // read to their end and closed
	Truncations        int64 // files truncated or replaced in place
	Gaps, GapBytes     int64 // lost ranges, and their length as far as it is known
	BlankLines         int64 // skipped
	NULBytes           int64 // skipped before lines
	TooLongLines       int64
	UnterminatedLines  int64
	BytesRead          int64 // returned, terminators included
	LinesRead          int64 // returned, gaps not included

	// Waiting says in words what reading waits for, such as a file that does
	// not exist yet; "" if nothing is amiss.
	Waiting string
}

// count counts a line that is about to be returned.
func (s *Stats) count(l *Line) {
	switch l.Kind {
	case Gap:
		s.Gaps++
		s.GapBytes += l.End - l.Start
		return
	case TooLong:
		s.TooLongLines++
	case Unterminated:
		s.UnterminatedLines++
	}
	s.LinesRead++
	s.BytesRead += l.End - l.Start
}

// assumedLine is the mean line in bytes before one has been read.
const assumedLine = 900

// Stats looks at the open files and returns the current numbers.
func (f *Follower) Stats() Stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.cfg.Now()
	f.win.save()
	s := f.stats
	s.Waiting = f.waiting
	s.OpenGenerations = len(f.gens)
	var oldest time.Time
	for _, g := range f.gens {
		lag := f.lag(g)
		s.LagBytes += lag
		if g.src != nil {
			s.OpenFiles++
		}
		if at := g.grown.since(g.offset); lag > 0 && !at.IsZero() && (oldest.IsZero() || at.Before(oldest)) {
			oldest = at
		}
	}
	if !oldest.IsZero() {
		s.OldestUnread = max(0, f.now.Sub(oldest))
	}
	s.LagBytes += f.undiscovered()
	mean := int64(assumedLine)
	if s.LinesRead > 0 {
		mean = max(1, s.BytesRead/s.LinesRead)
	}
	s.LagLines = (s.LagBytes + mean - 1) / mean
	return s
}

// lag returns the unread bytes of g as of now.
func (f *Follower) lag(g *generation) int64 {
	switch {
	case g.src == nil:
		return g.unread()
	case g.src.format != plainText && g.eof:
		return g.end - g.offset
	case g.src.format != plainText:
		return max(0, g.guess-g.offset)
	}
	// What cannot be measured now has the size it was last known to have.
	_, _ = f.measure(g)
	return g.unread()
}

// undiscovered returns the size of a file that has come to the path since the
// last scan: Next, which scans, may not have been called for long.
func (f *Follower) undiscovered() int64 {
	info, err := os.Stat(f.cfg.Path)
	if err != nil || !info.Mode().IsRegular() || f.open(keyOf(info)) != nil {
		return 0
	}
	return info.Size()
}
