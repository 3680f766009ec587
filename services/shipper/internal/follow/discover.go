package follow

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// entry is one file of the source, as a scan of its directories found it.
type entry struct {
	fileName
	path  string
	key   fileKey
	size  int64
	mtime time.Time
	// live says that the lane's writer opens this name: it is the lane's
	// newest file and never a copy of another.
	live bool
}

// listing is what a scan found.
type listing struct {
	// entries are sorted by lane, and in each lane oldest first.
	entries []entry
	// strangers are paths in the same directories that belong to no lane.
	strangers []string
	// places are the directories that were read.
	places []place
	// problem says why a file or directory could not be read; "" if none.
	problem string
	// blind says that the problem may hide files that exist.
	blind bool
}

// place is a directory to look in, and the pattern of the names to look for.
type place struct {
	dir, pattern string
	key          fileKey
}

// places returns where the generations of path may be. If path is a symbolic
// link they are beside it and beside the file it points to.
func places(path string) []place {
	here := place{dir: filepath.Dir(path), pattern: filepath.Base(path)}
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return []place{here}
	}
	there := place{dir: filepath.Dir(target), pattern: datePattern(filepath.Base(target))}
	if filepath.Base(target) == here.pattern && sameFile(there.dir, here.dir) {
		return []place{here}
	}
	return []place{here, there}
}

func sameFile(a, b string) bool {
	ai, aerr := os.Stat(a)
	bi, berr := os.Stat(b)
	return aerr == nil && berr == nil && os.SameFile(ai, bi)
}

// discover lists the files of the source at path.
func discover(path string) listing {
	var l listing
	base := filepath.Base(path)
	for i, p := range places(path) {
		info, err := os.Stat(p.dir)
		if err != nil {
			l.hide(p.dir, err)
			continue
		}
		files, err := os.ReadDir(p.dir)
		if err != nil {
			l.hide(p.dir, err)
			continue
		}
		p.key = keyOf(info)
		l.places = append(l.places, p)
		for _, file := range files {
			name, belongs := parseName(p.pattern, file.Name())
			if i > 0 {
				// Beside the target of a link nothing but that is live.
				name.moved = true
			}
			name.lane = laneTag(base, name.lane)
			path := filepath.Join(p.dir, file.Name())
			if belongs {
				l.add(entry{fileName: name, path: path})
			} else {
				l.strangers = append(l.strangers, path)
			}
		}
	}
	l.dedupe()
	sortEntries(l.entries)
	markLive(l.entries)
	if l.problem == "" && !hasMeta(base) && !slices.ContainsFunc(l.entries, func(e entry) bool { return e.live }) {
		l.problem = describe(path, fs.ErrNotExist)
	}
	return l
}

// add adds a file if it is a regular one.
func (l *listing) add(e entry) {
	info, err := os.Stat(e.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return
	case err != nil:
		l.hide(e.path, err)
		return
	case !info.Mode().IsRegular():
		if !info.IsDir() {
			l.hide(e.path, errors.New("it is not a regular file"))
		}
		return
	}
	e.key, e.size, e.mtime = keyOf(info), info.Size(), info.ModTime()
	l.entries = append(l.entries, e)
}

// dedupe keeps one name of each file, preferably the one that is written to.
func (l *listing) dedupe() {
	slices.SortStableFunc(l.entries, func(a, b entry) int {
		c := cmp.Or(cmp.Compare(a.key.dev, b.key.dev), cmp.Compare(a.key.ino, b.key.ino))
		switch {
		case c != 0 || a.moved == b.moved:
			return c
		case a.moved:
			return 1
		default:
			return -1
		}
	})
	l.entries = slices.CompactFunc(l.entries, func(a, b entry) bool { return a.key == b.key })
}

// hide notes a problem that may hide a file. The first one is kept, in words.
func (l *listing) hide(path string, err error) {
	l.blind = true
	if l.problem == "" {
		l.problem = describe(path, err)
	}
}

func describe(path string, err error) string {
	var pathError *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return path + " does not exist yet"
	case errors.Is(err, fs.ErrPermission):
		return "permission denied reading " + path
	case errors.As(err, &pathError):
		err = pathError.Err
	}
	return fmt.Sprintf("reading %s: %v", path, err)
}

// sortEntries sorts by lane and age. Rotation writes the order of generations
// into their names; only between different kinds of names, times decide.
func sortEntries(entries []entry) {
	type kinds struct{ numbered, dated bool }
	lanes := make(map[string]kinds)
	for _, e := range entries {
		k := lanes[e.lane]
		k.numbered = k.numbered || e.date == "" && !e.current()
		k.dated = k.dated || e.date != ""
		lanes[e.lane] = k
	}
	slices.SortStableFunc(entries, func(a, b entry) int {
		if c := cmp.Compare(a.lane, b.lane); c != 0 {
			return c
		}
		if a.current() != b.current() {
			if b.current() {
				return -1
			}
			return 1
		}
		if k := lanes[a.lane]; k.numbered && k.dated {
			if c := a.mtime.Compare(b.mtime); c != 0 {
				return c
			}
		}
		return cmp.Or(
			compareDates(a.date, b.date),
			cmp.Compare(b.number, a.number),
			a.mtime.Compare(b.mtime),
			cmp.Compare(a.path, b.path),
		)
	})
}

// current reports whether the name is the one that the lane is named after.
func (n fileName) current() bool { return !n.moved && n.date == "" }

// markLive marks the newest entry of each lane, unless it is a rotated one.
func markLive(entries []entry) {
	for i := range entries {
		last := i == len(entries)-1 || entries[i+1].lane != entries[i].lane
		entries[i].live = last && !entries[i].moved
	}
}
