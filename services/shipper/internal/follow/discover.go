package follow

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// entry is one file of the source, as a scan of its directories found it.
type entry struct {
	fileName
	path  string
	key   fileKey
	size  int64
	mtime time.Time
	// live says that the series's writer opens this name: it is the series's
	// newest file and never a copy of another.
	live bool
	// held is the file if it has no name in the directories any more.
	held *os.File
}

func (e *entry) compressed() bool { return e.format != plainText && e.format != foreign }

// listing is what a scan found.
type listing struct {
	// entries are sorted by series, and in each series oldest first.
	entries []entry
	// kin are files that may be rotated ones, which only what they hold can tell.
	kin []entry
	// strangers are paths in the same directories that belong to no series.
	strangers []string
	// places are the directories that were read.
	places []place
	// problem says why a file or directory could not be read; "" if none.
	problem string
	// blind says that the problem may hide files that exist.
	blind bool
	wide  bool // it was looked for directories that were replaced
}

// place is a directory to look in, and the pattern of the names to look for.
type place struct {
	dir, pattern string
	key          fileKey
	// aside says that nothing there is live.
	aside bool
	// like says that names of the pattern's shape may belong to it, too, and
	// doubtful that even its own names only may.
	like, doubtful bool
	// series and before are those of the link that led here.
	series, before string
}

// places returns where the generations of the source may be: beside its path, in
// the directory of rotated files, and if path is a symbolic link beside what it
// points to. Where a directory has been replaced, wide adds those that may be
// the one before.
func (c *Config) places(wide bool) []place {
	dir, base := filepath.Split(c.Path)
	dir = filepath.Clean(dir)
	all := []place{{dir: dir, pattern: base}}
	if there, ok := beyond(c.Path); ok {
		all = append(all, there)
	}
	if c.RotatedDir != "" {
		rotated := c.RotatedDir
		if !filepath.IsAbs(rotated) {
			rotated = filepath.Join(dir, rotated)
		}
		all = append(all, place{dir: rotated, pattern: base, aside: true})
	}
	if wide {
		for _, dir := range replaced(dir) {
			all = append(all, place{dir: dir, pattern: base, aside: true, doubtful: true})
		}
	}
	return all
}

// beyond returns the place that the symbolic link path leads to.
func beyond(path string) (place, bool) {
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return place{}, false
	}
	there := place{dir: filepath.Dir(target), pattern: filepath.Base(target), aside: true, like: true}
	if there.pattern == filepath.Base(path) && sameFile(there.dir, filepath.Dir(path)) {
		return place{}, false
	}
	return there, true
}

// replaced returns the directories that may have been dir before another took its
// place: beside the one to which a link in its path points, and beside itself
// under a name that begins like its own.
func replaced(dir string) []string {
	const limit = 64
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil
	}
	var found []string
	beside := func(dir, rest, begin string) {
		siblings, err := os.ReadDir(filepath.Dir(dir))
		if err != nil {
			return
		}
		for _, s := range siblings {
			if s.IsDir() && s.Name() != filepath.Base(dir) && strings.HasPrefix(s.Name(), begin) && len(found) < limit {
				found = append(found, filepath.Join(filepath.Dir(dir), s.Name(), rest))
			}
		}
	}
	for up := abs; up != filepath.Dir(up); up = filepath.Dir(up) {
		rest, _ := filepath.Rel(up, abs)
		if info, err := os.Lstat(up); err == nil && info.Mode()&fs.ModeSymlink != 0 {
			if target, err := filepath.EvalSymlinks(up); err == nil {
				beside(target, rest, "")
			}
		} else if up == abs {
			beside(up, "", filepath.Base(up))
		}
	}
	return found
}

func sameFile(a, b string) bool {
	ai, aerr := os.Stat(a)
	bi, berr := os.Stat(b)
	return aerr == nil && berr == nil && os.SameFile(ai, bi)
}

// discover lists the files of the source. In each series they are ordered by
// names and modification times.
func (c *Config) discover(wide bool) listing {
	var l listing
	base := filepath.Base(c.Path)
	links := make(map[string]bool)
	places := c.places(wide)
	for i := 0; i < len(places); i++ {
		p := places[i]
		info, err := os.Stat(p.dir)
		if err == nil && p.doubtful && !info.IsDir() {
			continue
		}
		var files []fs.DirEntry
		if err == nil {
			files, err = os.ReadDir(p.dir)
		}
		if err != nil {
			if !p.doubtful {
				l.hide(p.dir, err)
			}
			continue
		}
		p.key = keyOf(info)
		l.places = append(l.places, p)
		for _, file := range files {
			path := filepath.Join(p.dir, file.Name())
			name, belongs := parseName(p.pattern, file.Name())
			if !belongs && p.like && shape(file.Name()) == shape(p.pattern) {
				name, belongs = fileName{relation: beside, moved: true, notation: shape(file.Name())}, true
			}
			if !belongs {
				l.strangers = append(l.strangers, path)
				continue
			}
			if i == 0 && hasMeta(base) && name.current() && file.Type()&fs.ModeSymlink != 0 && !links[file.Name()] {
				links[file.Name()] = true
				if there, ok := beyond(path); ok {
					there.series, there.before = name.series, name.before
					places = append(places, there)
				}
			}
			name.moved = name.moved || p.aside
			if p.series != "" {
				name.series, name.before = p.series, p.before
			}
			if p.doubtful {
				name.relation = beside
			}
			l.add(entry{fileName: name, path: path})
		}
	}
	l.undate(base)
	l.dedupe()
	for i := range l.entries {
		e := &l.entries[i]
		e.series, e.before = seriesTag(base, e.series), seriesTag(base, e.before)
	}
	l.kin = slices.DeleteFunc(slices.Clone(l.entries), func(e entry) bool { return e.relation == known })
	l.entries = slices.DeleteFunc(l.entries, func(e entry) bool { return e.relation != known })
	l.order(func(e *entry) int64 { return e.mtime.UnixNano() }, time.Time{})
	if l.problem == "" && !hasMeta(base) && !slices.ContainsFunc(l.entries, func(e entry) bool { return e.live }) {
		l.problem = describe(c.Path, fs.ErrNotExist)
	}
	return l
}

// order sorts the entries by series and age, and marks those that are live: the
// newest of each series, unless it is a rotated one.
func (l *listing) order(age func(*entry) int64, settled time.Time) {
	sortEntries(l.entries, age, settled)
	for i := range l.entries {
		e := &l.entries[i]
		last := i == len(l.entries)-1 || l.entries[i+1].series != e.series
		e.live = last && !e.moved
	}
}

// undate makes names of a pattern with a date rotated ones if the same name
// without the date is there ("eve.1-20240131.json" beside "eve.1.json").
func (l *listing) undate(pattern string) {
	if !hasMeta(pattern) {
		return
	}
	current := make(map[string]*entry)
	for i := range l.entries {
		if e := &l.entries[i]; e.current() && e.relation == known {
			current[e.series] = e
		}
	}
	for i := range l.entries {
		e := &l.entries[i]
		at := strings.IndexByte(e.series, '*')
		if !e.dated || at < 1 || e.series == pattern && current[e.series] != nil {
			continue
		}
		if c := current[e.series[:at-1]+e.series[at+1:]]; c != nil {
			e.before = cmp.Or(e.before, e.series)
			e.series, e.moved = c.series, true
		}
	}
}

// add adds a file if it is a regular one.
func (l *listing) add(e entry) {
	info, err := os.Stat(e.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return
	case err != nil:
		if e.relation == known {
			l.hide(e.path, err)
		}
		return
	case !info.Mode().IsRegular():
		if !info.IsDir() && e.relation == known {
			l.hide(e.path, errors.New("it is not a regular file"))
		}
		return
	}
	e.key, e.size, e.mtime = keyOf(info), info.Size(), info.ModTime()
	l.entries = append(l.entries, e)
}

// dedupe keeps one name of each file, preferably the one that is written to, and
// then one that says what it is.
func (l *listing) dedupe() {
	slices.SortStableFunc(l.entries, func(a, b entry) int {
		c := cmp.Or(cmp.Compare(a.key.dev, b.key.dev), cmp.Compare(a.key.ino, b.key.ino))
		return cmp.Or(c, compareBool(a.moved, b.moved), cmp.Compare(a.relation, b.relation))
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
	case outOfDescriptors(err):
		return fmt.Sprintf("out of file descriptors reading %s", path)
	case errors.As(err, &pathError):
		err = pathError.Err
	}
	return fmt.Sprintf("reading %s: %v", path, err)
}
