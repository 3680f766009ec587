package rules

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/expr"
	"github.com/openclaw-security/bus/services/internal/yamlfile"
)

// Load reads a rules file. If it is faulty the error is a [*config.Errors] with
// every fault and its place, like
//
//	rules.yaml:7:11: rules[0].when: no event has a field $.proces
func Load(path string, log *slog.Logger) (*Engine, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, &config.Errors{Faults: []*config.Fault{{Err: fmt.Errorf("reading rules: %w", err)}}}
	}
	return Parse(filepath.Base(path), data, log)
}

// Parse is [Load] for the text of a file called name.
func Parse(name string, data []byte, log *slog.Logger) (*Engine, error) {
	g := &Engine{byKind: make(map[string][]*rule), log: log}
	err := yamlfile.Parse(name, data, func(f *yamlfile.File, root yamlfile.Node) {
		f.Fields(root, map[string]func(yamlfile.Node){
			"rules": func(n yamlfile.Node) { f.List(n, func(n yamlfile.Node) { g.add(f, n) }) },
		})
	})
	if err != nil {
		return nil, err
	}
	return g, nil
}

// add reads a rule.
func (g *Engine) add(f *yamlfile.File, n yamlfile.Node) {
	r := &rule{}
	before := f.Faults()
	f.Fields(n, map[string]func(yamlfile.Node){
		"name":   func(n yamlfile.Node) { r.name = yamlfile.Scalar(f, n, g.parseName) },
		"source": func(n yamlfile.Node) { r.source = f.Text(n) },
		"kinds":  func(n yamlfile.Node) { r.kinds = f.Texts(n) },
		"when":   func(n yamlfile.Node) { r.when = yamlfile.Scalar(f, n, parseCondition) },
		"raise":  func(n yamlfile.Node) { r.raise = yamlfile.Scalar(f, n, parseSeverity) },
		"lower":  func(n yamlfile.Node) { r.lower = yamlfile.Scalar(f, n, parseSeverity) },
		"title":  func(n yamlfile.Node) { r.title = yamlfile.Scalar(f, n, parseTitle) },
		"tags": func(n yamlfile.Node) {
			f.List(n, func(n yamlfile.Node) { r.tags = append(r.tags, yamlfile.Scalar(f, n, parseTag)) })
		},
		"drop": func(n yamlfile.Node) { r.drop = yamlfile.Scalar(f, n, parseDrop) },
	})
	if f.Faults() == before { // else what is missing may only be faulty
		r.validate(f, n)
	}
	r.needsRaw = r.when != nil && slices.ContainsFunc(r.when.Paths(), func(p expr.Path) bool { return p[0] == "raw" })
	g.rules = append(g.rules, r)
	slices.Sort(r.kinds)
	for _, kind := range slices.Compact(r.kinds) {
		g.byKind[kind] = append(g.byKind[kind], r)
	}
}

// validate notes what is missing or contradictory.
func (r *rule) validate(f *yamlfile.File, n yamlfile.Node) {
	if r.name == "" {
		f.Faultf(n, "has no name")
	}
	if len(r.kinds) == 0 {
		f.Faultf(n, "names no kinds: it is evaluated only for events of the kinds that it names")
	}
	if r.raise == nil && r.lower == nil && r.drop == nil && r.title == "" && len(r.tags) == 0 {
		f.Faultf(n, "does nothing: it needs raise, lower, title, tags or drop")
	}
	if r.raise != nil && r.lower != nil {
		f.Faultf(n, "both raises and lowers")
	}
	ours := func(kind string) bool {
		return kind == proto.KindGap || kind == proto.KindUnparsed || kind == proto.KindSensor || kind == proto.KindFlood
	}
	if r.drop != nil && slices.ContainsFunc(r.kinds, ours) {
		f.Faultf(n, "drops %s, %s, %s or %s events, in which the shipper accounts for what it could not read, the sensor could not see, or it made events", proto.KindGap, proto.KindUnparsed, proto.KindSensor, proto.KindFlood)
	}
}

var (
	validName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)
	validTag  = regexp.MustCompile(`^[a-z0-9][a-z0-9_.:-]{0,62}$`)
)

func (g *Engine) parseName(name string) (string, error) {
	if !validName.MatchString(name) {
		return "", fmt.Errorf("%q is not 1 to 63 characters of a-z, 0-9, - and _", name)
	}
	if slices.Contains(g.Names(), name) {
		return "", fmt.Errorf("an earlier rule is called %s too", name)
	}
	return name, nil
}

// parseCondition compiles a condition whose paths lead to fields of an event.
func parseCondition(text string) (*expr.Expr, error) {
	when, err := expr.Compile(text)
	if err != nil {
		return nil, err
	}
	for _, path := range when.Paths() {
		if err := checkPath(path); err != nil {
			return nil, err
		}
	}
	return when, nil
}

func parseSeverity(token string) (*proto.Severity, error) {
	severity, err := proto.ParseSeverity(token)
	return &severity, err
}

func parseDrop(token string) (*proto.Severity, error) {
	severity, err := parseSeverity(token)
	if err == nil && *severity == proto.SeverityCritical {
		return nil, errors.New("a critical event cannot be dropped")
	}
	return severity, err
}

func parseTitle(title string) (string, error) {
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	if strings.TrimSpace(title) == "" || strings.ContainsFunc(title, unprintable) {
		return "", errors.New("must be a line of printable characters")
	}
	if utf8.RuneCountInString(title) > maxTitle {
		return "", fmt.Errorf("is longer than %d characters", maxTitle)
	}
	return title, nil
}

func parseTag(tag string) (string, error) {
	if !validTag.MatchString(tag) || strings.HasPrefix(tag, tagPrefix) {
		return "", fmt.Errorf("%q is not 1 to 63 characters of a-z, 0-9 and _.:- without %s in front", tag, tagPrefix)
	}
	return tag, nil
}
