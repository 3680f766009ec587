package rules

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/keyword"
	"github.com/openclaw-security/bus/services/internal/secret"
	"github.com/openclaw-security/bus/services/internal/yamlfile"
)

// Bounds of a rules file.
const (
	maxFile     = 4 << 20 // bytes
	maxRules    = 1000
	maxPattern  = 2000 // bytes
	maxReason   = 200  // characters
	minKeyword  = 3    // bytes; shorter ones are everywhere
	maxKeywords = 64 << 10
)

//go:embed default.yaml
var defaultRules []byte

// Default returns the rules that are built in.
func Default() (*Set, error) { return Parse("default.yaml", defaultRules) }

// Load reads a rules file of at most 4 MiB. If it is faulty the error is a
// [*config.Errors] with every fault and its place, like
//
//	rules.yaml:7:11: rules[0].score: 7 is not between 0 and 1
func Load(path string) (*Set, error) {
	data, err := os.ReadFile(path)
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("%s is larger than %d MiB", path, maxFile>>20)
	}
	if err != nil {
		return nil, &config.Errors{Faults: []*config.Fault{{Key: "GUARD_STUB_RULES", Err: fmt.Errorf("reading rules: %w", err)}}}
	}
	return Parse(filepath.Base(path), data)
}

// Parse is [Load] for the text of a file called name.
func Parse(name string, data []byte) (*Set, error) {
	l := &loader{}
	err := yamlfile.Parse(name, data, func(f *yamlfile.File, root yamlfile.Node) {
		l.File = f
		f.Fields(root, map[string]func(yamlfile.Node){
			"rules": func(n yamlfile.Node) { f.List(n, l.add) },
		})
		if f.Faults() == 0 && (len(l.rules) == 0 || len(l.rules) > maxRules) {
			f.Faultf(root, "has %d rules, not 1 to %d", len(l.rules), maxRules)
		}
	})
	if err != nil {
		return nil, err
	}
	return newRules(l.rules), nil
}

// newRules puts rules into order and builds what finds their keywords.
func newRules(list []rule) *Set {
	r := &Set{rules: slices.Clone(list)}
	slices.SortStableFunc(r.rules, func(a, b rule) int { return cmp.Compare(b.score, a.score) })
	var words []keyword.Keyword
	for i := range r.rules {
		for _, word := range r.rules[i].keywords {
			words = append(words, keyword.Keyword{Text: lower(word), ID: i})
		}
	}
	r.keywords = keyword.New(words, nil) // both sides are in lower case already
	return r
}

// loader reads a file's rules.
type loader struct {
	*yamlfile.File
	rules        []rule
	keywordBytes int
}

// add reads one rule.
func (l *loader) add(n yamlfile.Node) {
	var r rule
	var patterns, except []string
	var match, noMatch []yamlfile.Node
	before := l.Faults()
	l.Fields(n, map[string]func(yamlfile.Node){
		"id":       func(n yamlfile.Node) { r.id = yamlfile.Scalar(l.File, n, l.parseID) },
		"score":    func(n yamlfile.Node) { r.score = yamlfile.Scalar(l.File, n, parseScore) },
		"reason":   func(n yamlfile.Node) { r.reason = yamlfile.Scalar(l.File, n, parseReason) },
		"case":     func(n yamlfile.Node) { r.sensitive = yamlfile.Scalar(l.File, n, parseCase) },
		"match":    func(n yamlfile.Node) { l.List(n, func(n yamlfile.Node) { match = append(match, n) }) },
		"no_match": func(n yamlfile.Node) { l.List(n, func(n yamlfile.Node) { noMatch = append(noMatch, n) }) },
		"keywords": func(n yamlfile.Node) {
			l.List(n, func(n yamlfile.Node) { r.keywords = append(r.keywords, yamlfile.Scalar(l.File, n, l.parseKeyword)) })
		},
		"secrets": func(n yamlfile.Node) {
			l.List(n, func(n yamlfile.Node) { r.secrets = append(r.secrets, yamlfile.Scalar(l.File, n, parseKind)) })
		},
		"patterns": func(n yamlfile.Node) {
			l.List(n, func(n yamlfile.Node) { patterns = append(patterns, yamlfile.Scalar(l.File, n, parsePattern)) })
		},
		"except": func(n yamlfile.Node) {
			l.List(n, func(n yamlfile.Node) { except = append(except, yamlfile.Scalar(l.File, n, parsePattern)) })
		},
	})
	if l.Faults() > before { // what is missing may only be faulty
		return
	}
	for _, key := range []struct {
		name    string
		missing bool
	}{
		{"id", r.id == ""},
		{"score", r.score == 0},
		{"reason", r.reason == ""},
		{"keywords", r.keywords == nil && r.secrets == nil},
		{"patterns", patterns == nil && r.secrets == nil},
		{"match", match == nil},
	} {
		if key.missing {
			l.Faultf(n, "has no %s", key.name)
		}
	}
	if r.secrets != nil && (r.keywords != nil || patterns != nil || except != nil) {
		l.Faultf(n, "has both secrets and keywords or patterns")
	}
	compile := func(patterns []string) (list []*regexp.Regexp) {
		for _, pattern := range patterns {
			if !r.sensitive {
				pattern = "(?i)" + pattern
			}
			list = append(list, regexp.MustCompile(pattern)) // parsePattern has compiled it
		}
		return list
	}
	r.patterns, r.except = compile(patterns), compile(except)
	if l.Faults() == before {
		l.try(r, match, noMatch)
		l.rules = append(l.rules, r)
	}
}

// try runs a rule on its examples.
func (l *loader) try(r rule, match, noMatch []yamlfile.Node) {
	alone := newRules([]rule{r})
	matches := func(n yamlfile.Node) bool {
		v, err := alone.Scan(context.Background(), []string{l.Text(n)})
		return err == nil && v.Rule != ""
	}
	for _, n := range match {
		if !matches(n) {
			l.Faultf(n, "the rule does not match this")
		}
	}
	for _, n := range noMatch {
		if matches(n) {
			l.Faultf(n, "the rule matches this")
		}
	}
}

var validID = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

func (l *loader) parseID(id string) (string, error) {
	if !validID.MatchString(id) {
		return "", fmt.Errorf("%.100q is not 1 to 63 characters of a-z, 0-9, - and _", id)
	}
	if slices.ContainsFunc(l.rules, func(r rule) bool { return r.id == id }) {
		return "", fmt.Errorf("an earlier rule is called %s too", id)
	}
	return id, nil
}

func parseScore(text string) (float64, error) {
	score, err := strconv.ParseFloat(text, 64)
	if err != nil || !(score > 0 && score <= 1) {
		return 0, fmt.Errorf("%.100q is not a number above 0 and up to 1", text)
	}
	return score, nil
}

func parseKind(text string) (secret.Kind, error) {
	kind := secret.Kind(text)
	if !slices.Contains(secret.Kinds(), kind) {
		return "", fmt.Errorf("%.100q is not one of %q", text, secret.Kinds())
	}
	return kind, nil
}

func parseReason(text string) (string, error) {
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	if strings.TrimSpace(text) == "" || strings.ContainsFunc(text, unprintable) || utf8.RuneCountInString(text) > maxReason {
		return "", fmt.Errorf("must be a line of 1 to %d printable characters", maxReason)
	}
	return text, nil
}

func parseCase(text string) (sensitive bool, err error) {
	switch text {
	case "sensitive":
		return true, nil
	case "insensitive":
		return false, nil
	}
	return false, fmt.Errorf("%.100q is neither sensitive nor insensitive", text)
}

// parseKeyword folds a keyword as the texts are.
func (l *loader) parseKeyword(text string) (string, error) {
	// Bars keep the white space at the ends.
	word := fold("|" + text + "|").text
	word = word[len("\n|") : len(word)-len("|\n")]
	if len(word) < minKeyword {
		return "", fmt.Errorf("%q is shorter than %d bytes", text, minKeyword)
	}
	if l.keywordBytes += len(word); l.keywordBytes > maxKeywords {
		return "", fmt.Errorf("the keywords of all rules have more than %d KiB", maxKeywords>>10)
	}
	return string(word), nil
}

// parsePattern checks a pattern.
func parsePattern(text string) (string, error) {
	if len(text) > maxPattern {
		return "", fmt.Errorf("is longer than %d bytes", maxPattern)
	}
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return "", err
	}
	if anchored(parsed) {
		return "", errors.New(`has ^, $, \A or \z: a pattern is tried on a part of the text; use \n for the beginning or end of a line`)
	}
	pattern, err := regexp.Compile(text)
	if err != nil {
		return "", err
	}
	if pattern.MatchString("") {
		return "", errors.New("matches the empty text, and so everything")
	}
	return text, nil
}

// anchored says whether a pattern depends on where its text begins or ends.
func anchored(p *syntax.Regexp) bool {
	switch p.Op {
	case syntax.OpBeginLine, syntax.OpEndLine, syntax.OpBeginText, syntax.OpEndText:
		return true
	}
	return slices.ContainsFunc(p.Sub, anchored)
}
