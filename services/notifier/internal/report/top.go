package report

import (
	"cmp"
	"maps"
	"slices"
)

// maxNames bounds the names that a Top distinguishes.
const maxNames = 20_000

// Top counts names. The zero Top is empty. It distinguishes at most 20,000 names:
// further ones are counted together, which can only concern rare ones if the
// common ones come early.
type Top struct {
	counts map[string]int
	other  int
}

// Count is a name and how often it came.
type Count struct {
	Name  string
	Count int
}

// Add counts a name n times.
func (t *Top) Add(name string, n int) {
	if t.counts == nil {
		t.counts = make(map[string]int)
	}
	if _, known := t.counts[name]; !known && len(t.counts) >= maxNames {
		t.other += n
		return
	}
	t.counts[name] += n
}

// First returns the n commonest names, those that came equally often by
// name, and how many names and occurrences there are beside them.
func (t *Top) First(n int) (first []Count, names, occurrences int) {
	all := make([]Count, 0, len(t.counts))
	for _, name := range slices.Sorted(maps.Keys(t.counts)) {
		all = append(all, Count{name, t.counts[name]})
	}
	slices.SortStableFunc(all, func(a, b Count) int { return cmp.Compare(b.Count, a.Count) })
	n = min(n, len(all))
	for _, c := range all[n:] {
		occurrences += c.Count
	}
	return all[:n], len(all) - n, occurrences + t.other
}
