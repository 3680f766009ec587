package follow

import (
	"cmp"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// A lane is one file as its writer sees it: the name it is written under and
// the rotated names its generations move to. "eve.json", "eve.json.1" and
// "eve.json-20240131.gz" are one lane, and so are all names that match a
// pattern and differ only in a date. "eve.1.json" and "eve.2.json" are two.

var (
	numberedSuffix = regexp.MustCompile(`^(.+)\.(\d{1,5})$`)
	datedSuffix    = regexp.MustCompile(`^(.+?)[.\-_](\d[\d\-_:.T]*)$`)
	datedInfix     = regexp.MustCompile(`^(.+?)[.\-_](\d[\d\-_:T]*)(\..+)$`)
)

// minDateDigits tells a date (20240131, 1700000000) from a count or a thread.
const minDateDigits = 6

// fileName is what a directory entry's name says about it.
type fileName struct {
	lane   string // its name, or, once listed, the tag of that
	number int    // of "name.3"; 0 otherwise
	date   string // digits of the date in the name; "" if there is none
	moved  bool   // it is a rotated name, nobody opens it for writing
	zipped bool
}

// parseName says whether base belongs to a lane of pattern, which is a file
// name or a pattern of filepath.Match, and to which.
func parseName(pattern, base string) (fileName, bool) {
	plain, zipped := strings.CutSuffix(base, ".gz")
	n, ok := parsePlain(pattern, plain)
	if !ok && zipped && matches(pattern, base) {
		n, ok = fileName{lane: plain}, true
	}
	n.zipped = zipped
	n.moved = n.moved || zipped
	return n, ok
}

func parsePlain(pattern, base string) (fileName, bool) {
	if m := numberedSuffix.FindStringSubmatch(base); m != nil {
		if n, ok := parseCurrent(pattern, m[1]); ok {
			n.number, _ = strconv.Atoi(m[2])
			n.moved = true
			return n, true
		}
	}
	if m := datedSuffix.FindStringSubmatch(base); m != nil && isDate(m[2]) {
		if n, ok := parseCurrent(pattern, m[1]); ok {
			n.date = digits(m[2])
			n.moved = true
			return n, true
		}
	}
	if n, ok := parseCurrent(pattern, base); ok {
		return n, true
	}
	// "eve-20240131.json" beside "eve.json".
	if m := datedInfix.FindStringSubmatch(base); m != nil && isDate(m[2]) && m[1]+m[3] == pattern {
		return fileName{lane: pattern, date: digits(m[2]), moved: true}, true
	}
	return fileName{}, false
}

// parseCurrent parses a name that a writer may have opened.
func parseCurrent(pattern, base string) (fileName, bool) {
	if !matches(pattern, base) {
		return fileName{}, false
	}
	if m := datedInfix.FindStringSubmatch(base); m != nil && isDate(m[2]) && base != pattern {
		return fileName{lane: datePattern(base), date: digits(m[2])}, true
	}
	return fileName{lane: base}, true
}

// laneTag is how a checkpoint names a lane: not at all unless there may be
// several.
func laneTag(pattern, lane string) string {
	if !hasMeta(pattern) {
		return ""
	}
	return string(appendTail(nil, tailSum([]byte(lane))))
}

// datePattern replaces a date in base, if there is one, by "*".
func datePattern(base string) string {
	if m := datedInfix.FindStringSubmatchIndex(base); m != nil && isDate(base[m[4]:m[5]]) {
		return base[:m[4]] + "*" + base[m[5]:]
	}
	return base
}

func matches(pattern, base string) bool {
	if pattern == base {
		return true
	}
	ok, err := filepath.Match(pattern, base)
	return ok && err == nil
}

func isDate(s string) bool { return len(digits(s)) >= minDateDigits }

func digits(s string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, s)
}

// compareDates orders dates of one notation, older first.
func compareDates(a, b string) int {
	if c := cmp.Compare(len(a), len(b)); c != 0 {
		return c
	}
	return strings.Compare(a, b)
}
