package lists

import (
	"bytes"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// What the placeholders stand for, as regular expressions of RE2.
const (
	// homePattern are home directories of Linux and macOS, and the volume of a PaaS.
	homePattern = `/(home/[^/]+|Users/[^/]+|root|data)/`
	// statePattern names the state directory in a home directory: also of a profile
	// (openclaw --profile), and under OpenClaw's former names.
	statePattern = `\.(openclaw|clawdbot|moltbot)(-[^/]+)?/`
	// workspacePattern is an agent's workspace there, or where a sandbox has it.
	workspacePattern = `(` + homePattern + statePattern + `workspace[^/]*|/workspace)/`
)

// WithStateDir returns rules that look into a particular state directory as well as
// into the usual ones; "" is none.
func WithStateDir(rules []byte, dir string) []byte {
	if dir == "" {
		return rules
	}
	const usual = homePattern + statePattern
	return bytes.ReplaceAll(rules, []byte(usual), fmt.Appendf(nil, "(%s|%s/)", usual, regexp.QuoteMeta(dir)))
}

// of returns the paths of some kinds.
func (p Paths) of(kinds []Kind) []Path {
	return slices.DeleteFunc(slices.Clone(p.Paths), func(one Path) bool { return !slices.Contains(kinds, one.Kind) })
}

// Condition is a condition of the local rules: that $.file.path is one of the paths
// of some kinds, and neither harmless nor opened by a program that does so every day.
func (p Paths) Condition(kinds ...Kind) string {
	var order, exceptions []string
	byPlace := make(map[string][]string)
	for _, one := range p.of(kinds) {
		place, rest := one.pattern()
		if byPlace[place] == nil {
			order = append(order, place)
		}
		byPlace[place] = append(byPlace[place], rest)
		if len(one.Except) > 0 {
			exceptions = append(exceptions, fmt.Sprintf("&& $.file.path !~ `^%s%s(.*/)?(%s)$`", place, rest, alternatives(one.Except)))
		}
		if len(one.Programs) > 0 {
			exceptions = append(exceptions, fmt.Sprintf("&& !($.file.path =~ `^%s%s` && ($.process.executable ?? $.process.name) =~ `(^|/)(%s)$`)", place, rest, alternatives(one.Programs)))
		}
	}
	matches := make([]string, len(order))
	for i, place := range order {
		matches[i] = fmt.Sprintf("$.file.path =~ `^%s(%s)`", place, strings.Join(byPlace[place], "|"))
	}
	match := "(" + strings.Join(matches, "\n  || ") + ")"
	return strings.Join(append([]string{match}, exceptions...), "\n")
}

// placeholder splits a path into what stands for a directory and the rest.
func (p Path) placeholder() (prefix, rest string) {
	for _, prefix := range []string{home, state, workspace, anywhere} {
		if rest, ok := strings.CutPrefix(p.Path, prefix); ok {
			return prefix, rest
		}
	}
	return "", p.Path
}

// pattern returns regular expressions of RE2 for what stands for a directory, behind
// a ^, and for the rest of the path.
func (p Path) pattern() (place, rest string) {
	prefix, rest := p.placeholder()
	end := "$"
	switch {
	case strings.HasSuffix(rest, "/"):
		end = ""
	case strings.HasSuffix(rest, "*"):
		rest, end = strings.TrimSuffix(rest, "*"), ""
	case p.Kind == Config:
		end = "" // and copies beside it: openclaw.json.bak
	}
	return map[string]string{
		home: homePattern, state: homePattern + statePattern, workspace: workspacePattern, anywhere: "/(.*/)?",
	}[prefix], glob(rest) + end
}

// glob is a regular expression for a name or path with asterisks.
func glob(name string) string { return strings.ReplaceAll(regexp.QuoteMeta(name), `\*`, `[^/]*`) }

func alternatives(names []string) string {
	patterns := make([]string, len(names))
	for i, name := range names {
		patterns[i] = glob(name)
	}
	return strings.Join(patterns, "|")
}

// CommandPattern is a regular expression for commands, in lower case and as a shell
// reads them, that name one of the paths of some kinds, or a table of a database.
// Before a path may stand anything that ends a word, and \x1e.
func (p Paths) CommandPattern(kinds ...Kind) string {
	var patterns []string
	for _, one := range p.of(kinds) {
		patterns = append(patterns, one.commandPattern())
		for _, name := range one.Names {
			patterns = append(patterns, `\b`+regexp.QuoteMeta(name)+`\b`)
		}
	}
	for _, table := range p.Tables {
		patterns = append(patterns, `\b`+table+`\b`)
	}
	return strings.Join(patterns, "|")
}

func (p Path) commandPattern() string {
	prefix, rest := p.placeholder()
	rest, wild := strings.CutSuffix(rest, "*")
	pattern := map[string]string{
		home:      `(?:^|[\s/=:@<(,~\x1e])`,
		state:     `\.(?:openclaw|clawdbot|moltbot)(?:-[^\s/]+)?/`,
		workspace: `/workspace[^\s/]*/`,
		anywhere:  `(?:^|[\s/=:@<(,~\x1e])`,
	}[prefix] + strings.ReplaceAll(regexp.QuoteMeta(strings.ToLower(rest)), `\*`, `[^\s/]*`)
	if wild || strings.HasSuffix(rest, "/") {
		return pattern
	}
	return pattern + `(?:[^\w-]|$)`
}

// FilePattern is a regular expression for a word of such a command that is a file
// among the paths of some kinds, from its directory to its end.
func (p Paths) FilePattern(kinds ...Kind) string {
	var patterns []string
	for _, one := range p.of(kinds) {
		prefix, rest := one.placeholder()
		directory := map[string]string{
			anywhere:  `(?:\S*/)?`,
			workspace: `(?:\S*/)?workspace[^\s/]*/`,
			state:     `\S*\.(?:openclaw|clawdbot|moltbot)(?:-[^\s/]+)?/`,
		}[prefix]
		pattern := directory + regexp.QuoteMeta(strings.ToLower(rest))
		if strings.HasSuffix(rest, "/") {
			pattern += `\S+`
		}
		patterns = append(patterns, pattern)
	}
	return "(?:" + strings.Join(patterns, "|") + ")"
}

// CommandKeywords are texts of which each command that CommandPattern matches has one.
func (p Paths) CommandKeywords(kinds ...Kind) []string {
	var words []string
	for _, one := range p.of(kinds) {
		prefix, rest := one.placeholder()
		if prefix == state {
			words = append(words, ".openclaw", ".clawdbot", ".moltbot")
		} else {
			words = append(words, literal(strings.ToLower(rest)))
		}
		words = append(words, one.Names...)
	}
	words = append(words, p.Tables...)
	slices.Sort(words)
	return slices.Compact(words)
}

// literal is the longest part of a path that is no asterisk.
func literal(rest string) string {
	return slices.MaxFunc(strings.Split(rest, "*"), func(a, b string) int { return len(a) - len(b) })
}

// TraceeFilters are values of a filter of Tracee for the paths of some kinds. Tracee
// takes one asterisk, at an end. So what is below a directory is found in the homes
// that are given, and in any home by the names of files that are known; the local
// rules look closer.
func (p Paths) TraceeFilters(homes []string, kinds ...Kind) []string {
	var filters []string
	for _, one := range p.of(kinds) {
		for _, filter := range one.traceeFilters(homes) {
			if !slices.Contains(filters, filter) {
				filters = append(filters, filter)
			}
		}
	}
	return filters
}

func (p Path) traceeFilters(homes []string) []string {
	prefix, rest := p.placeholder()
	before, after, varies := strings.Cut(rest, "*")
	inState := map[string]string{state: ".openclaw/", workspace: ".openclaw/workspace/"}[prefix]
	switch {
	case !varies && !strings.HasSuffix(rest, "/"): // one file
		if prefix == state {
			return []string{"*/" + stateName(rest) + rest}
		}
		if prefix == "" {
			return []string{rest}
		}
		return []string{"*/" + rest}
	case prefix == "":
		return []string{"*" + after}
	}
	var filters []string
	for _, dir := range homes {
		filters = append(filters, dir+"/"+inState+before+"*")
	}
	if prefix == workspace {
		filters = append(filters, "/workspace/"+before+"*")
	}
	for _, file := range p.Files {
		switch {
		case p.Kind == Skills: // in a directory for each
			filters = append(filters, "*/"+file)
		case after != "":
			filters = append(filters, "*"+after+file)
		default:
			filters = append(filters, "*/"+inState+path.Join(path.Dir(before+"x"), file))
		}
	}
	return filters
}

// stateName is the directory in which a file of the state directory is.
func stateName(file string) string {
	for _, former := range []string{"clawdbot", "moltbot"} {
		if strings.HasPrefix(file, former) {
			return "." + former + "/"
		}
	}
	return ".openclaw/"
}

// Table is a table of the paths in Markdown.
func (p Paths) Table() string {
	var b strings.Builder
	b.WriteString("| path | kind | what |\n|---|---|---|\n")
	for _, one := range p.Paths {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", one.Path, one.Kind, one.What)
	}
	return b.String()
}
