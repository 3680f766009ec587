package torture

import (
	"cmp"
	"math/rand/v2"
	"slices"
)

// act is something done to the follower under torture.
type act uint8

const (
	stopReader  act = iota // SIGKILL to the process that reads the files
	startReader            // and its successor
	stopStore              // SIGKILL to the server; the consumer of hpcloud/tail pauses
	startStore
)

// step is an act that is due when so many lines were written or stored.
type step struct {
	at  int
	act act
}

// schedule is what happens during a run: first by the lines written, and when
// all are, by the lines stored.
type schedule struct{ writing, draining []step }

// pace is how fast lines are taken.
type pace string

const (
	// calm: nobody is killed.
	calm pace = "calm"
	// fast: processes are killed and started again at once.
	fast pace = "fast"
	// slow: the store is away for most of the time, and the reader is killed
	// while it waits, and while it catches up.
	slow pace = "slow"
)

// newSchedule draws the schedule of a run.
func newSchedule(m mode, how pace, w work) schedule {
	var s schedule
	if how == calm {
		return s
	}
	lines, kills, stores := w.lines(m), w.kills, w.kills/2+1
	// Its own random numbers, so that the writer's do not depend on the pace.
	random := rand.New(rand.NewPCG(w.seed, 0))
	if !m.spared && !m.absent {
		s.writing = append(s.writing, strikes(stopReader, kills, 0, lines, random)...)
	}
	if m.absent {
		s.writing = append(s.writing, absences(stopReader, stores, lines, random)...)
	}
	if how == slow && !m.lockstep {
		s.writing = append(s.writing, absences(stopStore, stores, lines, random)...)
		// At the end there is a backlog. A fifth of all may be lines that are lost.
		s.draining = strikes(stopReader, 2, lines/2, lines*4/5, random)
		s.draining = append(s.draining, strikes(stopStore, 1, lines/2, lines*4/5, random)...)
	} else {
		s.writing = append(s.writing, strikes(stopStore, stores, 0, lines, random)...)
	}
	s.arrange(m)
	return s
}

// arrange puts the steps in order, and none before the writers have introduced
// themselves, for which they need both processes.
func (s *schedule) arrange(m mode) {
	for i := range s.writing {
		s.writing[i].at = max(s.writing[i].at, m.writers+1)
	}
	byLines := func(a, b step) int { return cmp.Compare(a.at, b.at) }
	slices.SortStableFunc(s.writing, byLines)
	slices.SortStableFunc(s.draining, byLines)
}

// strikes kills and starts again at once, n times between from and to.
func strikes(kill act, n, from, to int, random *rand.Rand) []step {
	var steps []step
	for range n {
		at := from + random.IntN(to-from)
		steps = append(steps, step{at, kill}, step{at, kill + 1})
	}
	return steps
}

// absences kills n times and lets the successor come only after about half of
// the nth part of the run, the last one at its end.
func absences(kill act, n, lines int, random *rand.Rand) []step {
	var steps []step
	part := lines / n
	for i := range n {
		from := i*part + random.IntN(part/3)
		to := from + part/3 + random.IntN(part/3)
		if i == n-1 {
			to = lines
		}
		steps = append(steps, step{from, kill}, step{to, kill + 1})
	}
	return steps
}
