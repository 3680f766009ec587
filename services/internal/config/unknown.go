package config

import (
	"cmp"
	_ "embed"
	"slices"
	"strings"
)

// maxTypos is how many single-character changes still make a name with a
// foreign prefix look like a misspelt setting of ours.
const maxTypos = 2

// foreign reports whether word begins the settings of another program beside
// which the bus runs: OpenClaw's, and docker compose's. Some that we read begin
// with it too.
func foreign(word string) bool { return word == "OPENCLAW" || word == "COMPOSE" }

// An UnknownKey is an environment variable that looks like one of our settings
// and is none, so that setting it does nothing.
type UnknownKey struct {
	Name string
	// Suggestion is the setting that was probably meant, or empty.
	Suggestion string
}

// Unknown returns the variables in environ that share their first word (ALERT_,
// SHIPPER_, …) with a known setting, or nearly spell one, and yet are not
// among them. It is for a warning, not for an error: words such as LOG_ and
// NATS_ belong to other software as well. Where several services share an
// environment file, known must hold the settings of all of them. The result is
// sorted by name.
func Unknown(environ []string, known []Key) []UnknownKey {
	var names []string
	words := make(map[string]bool)
	for _, key := range known {
		names = append(names, key.Names()...)
		if word, _, ok := strings.Cut(key.Name, "_"); ok && !foreign(word) {
			words[word] = true
		}
	}
	var unknown []UnknownKey
	for name := range parseEnviron(environ) {
		if slices.Contains(names, name) {
			continue
		}
		word, _, _ := strings.Cut(name, "_")
		ours := words[word]
		typos := maxTypos
		if ours {
			// Half-remembered names (TELEGRAM_TOKEN) are further off than typos.
			typos = max(typos, len(name)/3)
		}
		suggestion := nearest(name, names, typos)
		if ours || suggestion != "" {
			unknown = append(unknown, UnknownKey{Name: name, Suggestion: suggestion})
		}
	}
	slices.SortFunc(unknown, func(a, b UnknownKey) int { return cmp.Compare(a.Name, b.Name) })
	return unknown
}

// nearest returns the candidate that is the fewest edits from name, at most
// limit, or an empty string.
func nearest(name string, candidates []string, limit int) string {
	var best string
	for _, candidate := range candidates {
		if d := editDistance(name, candidate); d <= limit {
			best, limit = candidate, d-1
		}
	}
	return best
}

// editDistance is the Levenshtein distance between a and b in bytes.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// knownFile lists the settings of all programs of the project, one a line. A
// service cannot ask the table of services, which would link them all; the test
// of docs/configuration.md writes the file.
//
//go:embed known.txt
var knownFile string

// StackKeys returns the names of all settings of all programs of the project,
// for [Unknown]: they share one environment file, so that the setting of one
// program is not a misspelled one of another's. Only Name is set.
func StackKeys() []Key {
	var keys []Key
	for name := range strings.FieldsSeq(knownFile) {
		keys = append(keys, Key{Name: name})
	}
	return keys
}
