package openclaw

import (
	"bufio"
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/openclaw-security/bus/rules/lists"
)

// keyName is the name of a variable that holds a key.
var keyName = regexp.MustCompile(`(?i)(_KEY|_TOKEN|_SECRET|PASSWORD)$`)

// Keys says where in a state directory keys are, or can be. It shows none of them.
// OpenClaw's own `openclaw secrets audit` looks into the databases, too.
func Keys(dir string) ([]string, error) {
	paths, err := lists.LoadPaths()
	if err != nil {
		return nil, err
	}
	var found []string
	for _, one := range paths.Paths {
		rest, inState := strings.CutPrefix(one.Path, "$STATE/")
		if !inState || one.Kind != lists.Secrets {
			continue
		}
		if strings.HasSuffix(rest, "/") {
			for _, file := range one.Files {
				found = append(found, existing(dir, rest+file, one.What)...)
			}
			continue
		}
		if rest == ".env" {
			continue
		}
		found = append(found, existing(dir, strings.TrimSuffix(rest, "*"), one.What)...)
	}
	variables, err := os.ReadFile(filepath.Join(dir, ".env"))
	if err == nil {
		for _, name := range Variables(variables) {
			found = append(found, ".env: "+name)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "openclaw.json"))
	if err != nil {
		return found, nil
	}
	d, err := Parse(text)
	if err != nil {
		return append(found, "openclaw.json: not looked at, for "+err.Error()), nil
	}
	return append(found, d.keys()...), nil
}

func existing(dir, pattern, what string) []string {
	matches, _ := fs.Glob(os.DirFS(dir), pattern) // the patterns are those of the list
	var found []string
	for _, match := range matches {
		found = append(found, match+": "+what)
	}
	return found
}

// Variables returns the names of a file of variables, as compose reads it, that hold
// keys.
func Variables(text []byte) []string {
	var names []string
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		name, value, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(lines.Text()), "export "), "=")
		if ok && keyName.MatchString(name) && !strings.HasPrefix(name, "#") && strings.Trim(value, ` "'`) != "" {
			names = append(names, name)
		}
	}
	return names
}

// keys are the places of the configuration that hold a key of a provider itself, and
// no reference to one.
func (d *Document) keys() []string {
	var found []string
	for _, at := range [][]string{{"env"}, {"env", "vars"}} {
		value, _ := d.Get(at...)
		variables, _ := value.(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(variables)) {
			if text, ok := variables[name].(string); ok && text != "" && keyName.MatchString(name) {
				found = append(found, fmt.Sprintf("openclaw.json: %s.%s", strings.Join(at, "."), name))
			}
		}
	}
	value, _ := d.Get("models", "providers")
	all, _ := value.(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		one, _ := all[name].(map[string]any)
		if key, _ := one["apiKey"].(string); key != "" && key != "none" && !strings.HasPrefix(key, "${") {
			found = append(found, fmt.Sprintf("openclaw.json: models.providers.%s.apiKey", name))
		}
	}
	return found
}
