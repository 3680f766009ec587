package torture

import (
	"fmt"
	"os"
)

// mode is one way in which a sensor and the rotation of its log can behave.
type mode struct {
	name string
	path string // what is followed, under the directory of the run
	// writers is how many write at once, each to its own file: "*" in path
	// stands for the number of one.
	writers int
	write   func(*pen) error

	// lossy says that lines are written where no reader can be sure to see
	// them. No other line may be lost, and what is lost is at most those.
	lossy bool
	// counted says that what follows shows how much was lost, so that the gaps
	// reported must be exactly that: a writer without O_APPEND leaves a hole as
	// long as the file was. With O_APPEND nothing shows it, and what is reported is
	// what had been seen of the file.
	counted bool
	// mayGap says that the shipper cannot know whether something was lost, so
	// that it may report a gap where nothing was.
	mayGap bool
	// lockstep says that the writer waits for lines to be stored, so that nobody
	// may be away for long.
	lockstep bool
	// spared says that the shipper is not killed, because it alone holds a file
	// that was deleted.
	spared bool
	// absent says that the shipper is away over several rotations each time.
	absent bool
}

func modes() []mode {
	const eve = "eve.json"
	return []mode{
		{name: "append", path: eve, writers: 1, write: appendOnly},
		{name: "rename", path: eve, writers: 1, write: rotating(os.O_APPEND, renameDated)},
		{name: "rename_late_reopen", path: eve, writers: 1, write: rotating(os.O_APPEND, renameAndReopenLater)},
		{name: "rename_chain", path: eve, writers: 1, write: rotating(os.O_APPEND, renameChain)},
		{name: "rename_gzip", path: eve, writers: 1, write: rotating(os.O_APPEND, renameAndCompress)},
		{name: "copytruncate", path: eve, writers: 1, write: rotating(os.O_APPEND, copyTruncate)},
		{name: "copytruncate_hole", path: eve, writers: 1, write: rotating(0, copyTruncate)},
		{name: "copytruncate_window", path: eve, writers: 1, write: rotating(os.O_APPEND, copyWriteTruncate), lossy: true},
		{name: "copytruncate_hole_window", path: eve, writers: 1, write: rotating(0, copyWriteTruncate), lossy: true, counted: true},
		{name: "dated_glob", path: "eve-*.json", writers: 1, write: dated},
		{name: "threads_glob", path: "eve.*.json", writers: 4, write: rotating(os.O_APPEND, renameChain)},
		{name: "symlink_swap", path: eve, writers: 1, write: linked},
		{name: "delete_stored", path: eve, writers: 1, write: rotating(os.O_APPEND, deleteStored), lockstep: true, mayGap: true},
		{name: "delete_unread", path: eve, writers: 1, write: rotating(os.O_APPEND, deleteUnread), lockstep: true, spared: true},
		{name: "down_rename", path: eve, writers: 1, write: rotating(os.O_APPEND, renameChain), absent: true},
		{name: "down_gzip", path: eve, writers: 1, write: rotating(os.O_APPEND, renameAndCompress), absent: true},
		{name: "down_copytruncate", path: eve, writers: 1, write: rotating(os.O_APPEND, copyTruncate), absent: true},
	}
}

func modeNamed(name string) (mode, error) {
	for _, m := range modes() {
		if m.name == name {
			return m, nil
		}
	}
	return mode{}, fmt.Errorf("no such mode: %q", name)
}

func appendOnly(p *pen) error {
	if err := p.open(p.path, os.O_APPEND); err != nil {
		return err
	}
	if err := p.write(p.Lines); err != nil {
		return err
	}
	return p.flush()
}

// rotating writes to the path, opened with flags, and rotates after each
// segment.
func rotating(flags int, rotate func(*pen) error) func(*pen) error {
	return func(p *pen) error {
		if err := p.open(p.path, flags); err != nil {
			return err
		}
		return p.segments(rotate)
	}
}

// segments writes all lines, and calls rotate after each segment but the last.
func (p *pen) segments(rotate func(*pen) error) error {
	for {
		if err := p.write(p.segment()); err != nil {
			return err
		}
		if p.done() {
			return p.flush()
		}
		p.rotation++
		if err := rotate(p); err != nil {
			return fmt.Errorf("rotation %d: %w", p.rotation, err)
		}
		if err := p.report.rotate(); err != nil {
			return err
		}
	}
}

// epoch is a Unix time, to make names with dates from the number of a rotation.
const epoch = 1_700_000_000

// dated opens a file with a new name each time, as Suricata does with
// rotate-interval.
func dated(p *pen) error {
	name := func() string { return fmt.Sprintf("%s/eve-%d.json", p.Dir, epoch+p.rotation) }
	if err := p.open(name(), os.O_APPEND); err != nil {
		return err
	}
	return p.segments(func(p *pen) error {
		if err := p.flush(); err != nil {
			return err
		}
		return p.open(name(), os.O_APPEND)
	})
}

// linked writes to files elsewhere and lets the path, a symbolic link, point to
// the one at work.
func linked(p *pen) error {
	if err := os.Mkdir(p.Dir+"/data", 0o755); err != nil {
		return err
	}
	next := func(p *pen) error {
		if err := p.flush(); err != nil {
			return err
		}
		name := fmt.Sprintf("data/eve-%d.json", epoch+p.rotation)
		if err := p.open(p.Dir+"/"+name, os.O_APPEND); err != nil {
			return err
		}
		if err := os.Symlink(name, p.path+".link"); err != nil {
			return err
		}
		return os.Rename(p.path+".link", p.path)
	}
	if err := next(p); err != nil {
		return err
	}
	return p.segments(next)
}

// deleteStored deletes the file when all of it is stored.
func deleteStored(p *pen) error {
	if err := p.flush(); err != nil {
		return err
	}
	if err := p.report.await(p.next); err != nil {
		return err
	}
	if err := os.Remove(p.path); err != nil {
		return err
	}
	return p.open(p.path, os.O_APPEND)
}

// deleteUnread deletes the file when its first line is stored, which shows that
// the shipper has opened it, and goes on writing to it for a while.
func deleteUnread(p *pen) error {
	if err := p.report.await(p.begun + 1); err != nil {
		return err
	}
	if err := p.write(p.segment()); err != nil {
		return err
	}
	if err := os.Remove(p.path); err != nil {
		return err
	}
	if err := p.write(p.segment() / 4); err != nil {
		return err
	}
	if err := p.flush(); err != nil {
		return err
	}
	return p.open(p.path, os.O_APPEND)
}
