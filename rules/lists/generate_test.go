package lists_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/rules/lists"
	"github.com/openclaw-security/bus/services/testing/golden"
)

//go:generate go test . -run ^TestGenerated -update

const root = "../../"

// Placeholders of the policy for a native installation, which tracee/run.sh replaces.
var nativeHomes = []string{"@HOME@"}

// notOpenClaw are programs that are not OpenClaw. It is a Node.js program. Node's
// threads have names of their own, which count only where the sensor does not tell
// the executable.
const notOpenClaw = "\n&& ($.process.executable != null\n  ? $.process.executable !~ `/node$`\n  : $.process.name !~ `^(node|MainThread|node-MainThread|WorkerThread|libuv-worker|openclaw.*)$`)"

// replaced returns a file's text with what stands between before and after, which
// have to be there once, replaced.
func replaced(t *testing.T, file, text, before, after, by string) string {
	t.Helper()
	if n := strings.Count(text, before); n != 1 {
		t.Fatalf("%s has %d times %q", file, n, before)
	}
	head, rest, _ := strings.Cut(text, before)
	at := strings.Index(rest, after)
	if at < 0 {
		t.Fatalf("%s has no %q behind %q", file, after, before)
	}
	return head + before + by + rest[at:]
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(root + file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestGeneratedRules(t *testing.T) {
	paths, hosts := load(t)
	const file = "rules/openclaw.yaml"
	text := read(t, file)
	written := notOpenClaw + "\n&& $.file.access == \"write\""
	for rule, condition := range map[string]string{
		"openclaw-secrets": paths.Condition(lists.OwnSecrets...) + notOpenClaw,
		"owner-secrets":    paths.Condition(lists.Owner),
		"memory-changed":   paths.Condition(lists.Memory) + written,
		"skill-changed":    paths.Condition(lists.Skills) + written,
		"llm-api-direct":   "$.tls.sni =~ `(?i)" + strings.TrimSuffix(lists.HostPattern(hosts), "$") + `\.?$` + "`",
	} {
		body := strings.ReplaceAll("\n"+condition, "\n", "\n      ") + "\n"
		at := strings.Index(text, "  - name: "+rule+"\n")
		if at < 0 {
			t.Fatalf("%s has no rule %s", file, rule)
		}
		one := firstRule(text[at:])
		text = text[:at] + replaced(t, file, one, "    when: >-", "    raise:", body) + text[at+len(one):]
	}
	golden.Compare(t, root+file, []byte(text))
}

// firstRule is the text up to the next rule.
func firstRule(text string) string {
	if at := strings.Index(text[1:], "\n  - name: "); at >= 0 {
		return text[:at+2]
	}
	return text
}

func TestGeneratedSuricataRule(t *testing.T) {
	_, hosts := load(t)
	const file = "suricata/rules/openclaw.rules"
	text := read(t, file)
	line := regexp.MustCompile(`(?m)^alert tls .* sid:9900015;.*$`).FindString(text)
	golden.Compare(t, root+file, []byte(strings.Replace(text, line, replaced(t, file, line, `pcre:"/`, `/i"`, lists.HostPattern(hosts)), 1)))
}

func TestGeneratedPolicies(t *testing.T) {
	paths, _ := load(t)
	for file, filters := range map[string][]string{
		"tracee/policies/openclaw.yaml": paths.TraceeFilters(containerHomes, lists.Config, lists.Secrets, lists.Keys, lists.Owner, lists.Memory, lists.Skills),
		// On the host itself, programs of the system read passwords and environments
		// all day.
		"tracee/native/openclaw-native-files.yaml": only(paths, "~/", "$").TraceeFilters(nativeHomes, lists.Config, lists.Secrets, lists.Keys, lists.Owner, lists.Memory, lists.Skills),
	} {
		text := read(t, file)
		for event, argument := range map[string]string{"security_file_open": "pathname", "security_inode_rename": "new_path"} {
			kinds := filters
			if event == "security_inode_rename" {
				homes := containerHomes
				if strings.Contains(file, "native") {
					homes = nativeHomes
				}
				kinds = paths.TraceeFilters(homes, lists.Instructions...)
			}
			var lines strings.Builder
			for _, filter := range kinds {
				fmt.Fprintf(&lines, "        - data.%s=%s\n", argument, filter)
			}
			text = replaced(t, file, text, "    - event: "+event+"\n      filters:\n", "    # end of the list\n", lines.String())
		}
		golden.Compare(t, root+file, []byte(text))
	}
}

// only returns the paths that begin with one of prefixes.
func only(paths lists.Paths, prefixes ...string) lists.Paths {
	var kept []lists.Path
	for _, one := range paths.Paths {
		for _, prefix := range append(prefixes, "**/") {
			if strings.HasPrefix(one.Path, prefix) {
				kept = append(kept, one)
			}
		}
	}
	return lists.Paths{Paths: kept}
}

func TestGeneratedDocs(t *testing.T) {
	paths, _ := load(t)
	const file = "docs/sensors.md"
	golden.Compare(t, root+file, []byte(replaced(t, file, read(t, file), "<!-- paths.yaml -->\n", "<!-- end -->", paths.Table())))
}
