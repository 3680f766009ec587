package follow

import (
	"cmp"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A series is one file as its writer sees it: the name it is written under and
// the rotated names its generations move to. "eve.json", "eve.json.1",
// "eve.2.json.zst" and "eve.json-20240131.gz" are one series, and so are all
// names that match a pattern and differ only in a date. "eve.1.json" and
// "eve.2.json" are two of a pattern.

// relation says how sure a name is to be a rotated one of its series.
type relation uint8

const (
	// known: it is the name that is written, or that with a number, a date or a
	// time.
	known relation = iota
	// likely: with a word for old files, such as "old".
	likely
	// beside: with anything else, so that only what the file holds can tell.
	beside
)

// fileName is what a directory entry's name says about it.
type fileName struct {
	series   string // its name, or, once listed, the tag of that
	before   string // how version 1.0 named the series, if otherwise
	relation relation
	moved    bool   // it is a rotated name, nobody opens it for writing
	format   format // that its extension states
	// notation is what was added to the name with each number as "0"; names are
	// ordered by their numbers only within one notation.
	notation string
	numbers  []int64
	dated    bool // numbers are a date, year first, or a time since 1970
}

// current reports whether the name is the one that the series is named after.
func (n fileName) current() bool { return !n.moved && !n.dated }

// numbered reports whether the name has one small number, which rotation counts.
func (n fileName) numbered() bool {
	return n.moved && !n.dated && len(n.numbers) == 1 && n.numbers[0] < 1e5
}

// parseName says whether base may belong to a series of pattern, which is a file
// name or a pattern of filepath.Match, and to which.
func parseName(pattern, base string) (fileName, bool) {
	plain, format := cutFormat(base)
	n, ok := parsePlain(pattern, plain)
	switch {
	case plain == base:
	case !ok && matches(pattern, base):
		n, ok = fileName{series: plain}, true
	}
	n.format = format
	n.moved = n.moved || format != plainText
	return n, ok
}

// numberAfterFormat is what rotation makes of a file that was compressed before
// ("eve.json.gz.1").
var numberAfterFormat = regexp.MustCompile(`^(.+)(\.[A-Za-z0-9]+)(\.\d{1,5})$`)

// cutFormat returns base without what compressing it added.
func cutFormat(base string) (string, format) {
	if f, ok := formatOf(filepath.Ext(base)); ok {
		return strings.TrimSuffix(base, filepath.Ext(base)), f
	}
	if m := numberAfterFormat.FindStringSubmatch(base); m != nil {
		if f, ok := formatOf(m[2]); ok {
			return m[1] + m[3], f
		}
	}
	return base, plainText
}

func parsePlain(pattern, base string) (fileName, bool) {
	if base == pattern {
		return fileName{series: base}, true
	}
	if hasMeta(pattern) {
		return parseMatching(pattern, base)
	}
	ext := filepath.Ext(pattern)
	stem := strings.TrimSuffix(pattern, ext)
	best, found := fileName{}, false
	consider := func(added string) {
		n := parseAdded(added)
		n.series, n.moved = pattern, true
		if !found || n.relation < best.relation {
			best, found = n, true
		}
	}
	if added, ok := strings.CutPrefix(base, pattern); ok && isSeparator(added[0]) {
		consider(added)
	}
	if added, ok := strings.CutPrefix(base, stem); ok && !found {
		if added, ok := strings.CutSuffix(added, ext); ok && added != "" {
			consider(added)
			switch {
			case !isSeparator(added[0]):
				best.relation = beside
			case !best.dated:
				// "eve-2.json" may be a second writer's.
				best.relation = max(best.relation, likely)
			}
		}
	}
	if added, ok := strings.CutSuffix(base, pattern); ok && isSeparator(added[len(added)-1]) {
		consider(added)
	}
	if i := strings.Index(base, pattern); i > 0 && !found && isSeparator(base[i-1]) {
		if end := i + len(pattern); end < len(base) && isSeparator(base[end]) {
			best, found = fileName{series: pattern, relation: beside, moved: true, notation: base[:i] + base[end:]}, true
		}
	}
	return best, found
}

// parseMatching parses a name for a pattern that several names may match.
func parseMatching(pattern, base string) (fileName, bool) {
	other := fileName{}
	for i := 1; i < len(base); i++ {
		if !isSeparator(base[i]) || !matches(pattern, base[:i]) {
			continue
		}
		n := parseAdded(base[i:])
		c := parseCurrent(base[:i])
		n.series, n.before, n.moved = c.series, c.before, true
		if c.dated {
			n.notation, n.numbers, n.dated = c.notation+n.notation, append(c.numbers, n.numbers...), true
		}
		switch {
		case n.relation == known:
			return n, true
		case other.series == "" || n.relation < other.relation:
			other = n
		}
	}
	if matches(pattern, base) {
		return parseCurrent(base), true
	}
	return other, other.series != ""
}

var (
	// dateInName is a date in front of an extension.
	dateInName = regexp.MustCompile(`^(\d{4}-\d\d-\d\d[T_]\d\d[\-:]\d\d[\-:]\d\d\.\d{1,9}|\d[\d\-_:T]*)Z?\..`)
	// digitsInName is what version 1.0 took for a date.
	digitsInName = regexp.MustCompile(`^(.+?)[.\-_](\d[\d\-_:T]*)(\..+)$`)
)

// parseCurrent parses a name that a writer may have opened.
func parseCurrent(base string) fileName {
	n := fileName{series: base}
	for i := 2; i < len(base); i++ {
		if strings.IndexByte(".-_", base[i-1]) < 0 {
			continue
		}
		m := dateInName.FindStringSubmatchIndex(base[i:])
		if m == nil {
			continue
		}
		if date := parseAdded("-" + base[i:i+m[3]]); date.dated {
			n = date
			n.series = base[:i] + "*" + base[i+m[1]-2:]
			break
		}
	}
	if m := digitsInName.FindStringSubmatchIndex(base); m != nil && len(digits(base[m[4]:m[5]])) >= 6 {
		n.before = base[:m[4]] + "*" + base[m[5]:]
	}
	if n.before == n.series {
		n.before = ""
	}
	return n
}

// token splits what was added to a name.
var token = regexp.MustCompile(`\d+|[A-Za-z]+|.`)

var (
	timeWords = words(`jan feb mar apr may jun jul aug sep sept oct nov dec january february march april june july august september
		october november december mon tue wed thu fri sat sun monday tuesday wednesday thursday friday saturday sunday t z w am pm utc gmt`)
	oldWords = words(`old bak backup prev previous last rotated rotate rot archive archived arch saved save copy orig part`)
)

func words(list string) map[string]bool {
	set := make(map[string]bool)
	for word := range strings.FieldsSeq(list) {
		set[word] = true
	}
	return set
}

// parseAdded says what was added to a name to tell a rotated file from others.
func parseAdded(added string) fileName {
	var n fileName
	var notation strings.Builder
	first, named, old := "", false, strings.HasSuffix(added, "~")
	for _, t := range token.FindAllString(added, -1) {
		word := strings.ToLower(t)
		switch {
		case t[0] >= '0' && t[0] <= '9':
			// Of more digits than a number has, the first decide.
			v, _ := strconv.ParseInt(t[:min(len(t), 18)], 10, 64)
			if len(n.numbers) == 0 {
				first = t
			}
			n.numbers = append(n.numbers, v)
			notation.WriteByte('0')
			continue
		case isSeparator(t[0]):
		case timeWords[word]:
			named = named || len(word) > 2
		case oldWords[word]:
			old = true
		default:
			n.relation = beside
		}
		notation.WriteString(t)
	}
	n.notation = notation.String()
	if n.relation == known && (old || first == "") {
		n.relation = beside
		if old {
			n.relation = likely
		}
	}
	if named {
		n.numbers = nil // A month's name orders nothing.
	}
	n.dated = isDate(first, n.numbers)
	return n
}

// isDate reports whether numbers, of which first is the first, are a date. Six
// digits may be a time of day or an id.
func isDate(first string, numbers []int64) bool {
	if len(numbers) == 0 {
		return false
	}
	within := func(v, low, high int64) bool { return low <= v && v <= high }
	year := func(v int64) bool { return within(v, 1970, 2199) }
	switch n := numbers[0]; {
	case len(first) == 4 && len(numbers) >= 3:
		return year(n) && within(numbers[1], 1, 12) && within(numbers[2], 1, 31)
	case len(first) == 9 || len(first) == 10 && n < 4e9 && n >= 1e9:
		return true // seconds since 1970, or 2024013110
	case len(first) == 13 && n < 4e12, len(first) == 16 && n < 4e15, len(first) > 17:
		return true // milliseconds and less
	case len(first) >= 8:
		day, _ := strconv.ParseInt(first[:8], 10, 64)
		return year(day/10000) && within(day/100%100, 1, 12) && within(day%100, 1, 31)
	default:
		return false
	}
}

// isSeparator reports whether c sets off what is added to a name.
func isSeparator(c byte) bool { return strings.IndexByte(".-_:+@~#,= ()[]{}%", c) >= 0 }

// seriesTag is how a checkpoint names a series: not at all unless there may be
// several.
func seriesTag(pattern, series string) string {
	if !hasMeta(pattern) || series == "" {
		return ""
	}
	return string(appendTail(nil, tailSum([]byte(series))))
}

// shape replaces the numbers in base, if there are any, by "*". Beside the target
// of a link the generations may differ in nothing else.
func shape(base string) string {
	return regexp.MustCompile(`\d+`).ReplaceAllString(base, "*")
}

func matches(pattern, base string) bool {
	if pattern == base {
		return true
	}
	ok, err := filepath.Match(pattern, base)
	return ok && err == nil
}

func digits(s string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, s)
}

// sortEntries sorts by series and age. Rotation writes the order of generations
// into their names, but higher numbers may be older or newer, and names of
// different notations do not compare: then times decide. Times are those of
// age.
//
// Two files that were modified before settled do not show that numbers count
// upwards: the clock may have been set back.
func sortEntries(entries []entry, age func(*entry) int64, settled time.Time) {
	slices.SortStableFunc(entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.series, b.series), compareBool(a.current(), b.current()))
	})
	for start := 0; start < len(entries); {
		end := start + 1
		for end < len(entries) && entries[end].series == entries[start].series {
			end++
		}
		sortSeries(entries[start:end], age, settled)
		start = end
	}
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	default:
		return 1
	}
}

// sortSeries sorts the entries of one series, of which the current one is last.
func sortSeries(entries []entry, age func(*entry) int64, settled time.Time) {
	rotated := entries
	if n := len(entries) - 1; entries[n].current() {
		rotated = entries[:n]
	}
	// What was written last and has no name any more is the newest.
	slices.SortStableFunc(rotated, func(a, b entry) int { return compareBool(a.held != nil, b.held != nil) })
	for len(rotated) > 0 && rotated[len(rotated)-1].held != nil {
		rotated = rotated[:len(rotated)-1]
	}
	byTime := func(a, b entry) int {
		numbers := slices.Compare(a.numbers, b.numbers)
		if a.numbered() && b.numbered() {
			numbers = -numbers
		}
		return cmp.Or(cmp.Compare(age(&a), age(&b)), numbers, cmp.Compare(a.path, b.path))
	}
	if len(rotated) == 0 {
		return
	}
	counted, mixed := true, false
	for i := range rotated {
		e := &rotated[i]
		counted = counted && e.numbered()
		mixed = mixed || e.notation != rotated[0].notation || e.dated != rotated[0].dated || !e.dated && !e.numbered()
	}
	if mixed {
		slices.SortStableFunc(rotated, byTime)
		return
	}
	upwards := func(a, b entry) int {
		return cmp.Or(slices.Compare(a.numbers, b.numbers), byTime(a, b))
	}
	slices.SortStableFunc(rotated, upwards)
	if !counted {
		// The last number of a date may be an index within it.
		for start := 0; start < len(rotated); {
			end := start + 1
			for end < len(rotated) && sameButLast(&rotated[start], &rotated[end]) {
				end++
			}
			if descends(rotated[start:end], age) {
				slices.Reverse(rotated[start:end])
			}
			start = end
		}
		return
	}
	if !ascends(entries, age) || len(rotated) < 3 && !rotated[0].mtime.After(settled) {
		slices.SortStableFunc(rotated, func(a, b entry) int {
			return cmp.Or(slices.Compare(b.numbers, a.numbers), byTime(a, b))
		})
	}
}

func sameButLast(a, b *entry) bool {
	n := len(a.numbers) - 1
	return n > 2 && len(b.numbers) == n+1 && slices.Equal(a.numbers[:n], b.numbers[:n])
}

// ascends reports whether every entry is newer than the one before it.
func ascends(entries []entry, age func(*entry) int64) bool {
	for i := 1; i < len(entries); i++ {
		if age(&entries[i]) <= age(&entries[i-1]) {
			return false
		}
	}
	return true
}

func descends(entries []entry, age func(*entry) int64) bool {
	for i := 1; i < len(entries); i++ {
		if age(&entries[i]) >= age(&entries[i-1]) {
			return false
		}
	}
	return len(entries) > 1
}
