package suricata

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Sids that belong to openclaw.rules.
const firstSID, lastSID = 9900001, 9900099

// rule is a line of openclaw.rules.
type rule struct {
	sid     int
	options map[string]string // the last of each name
}

var optionPattern = regexp.MustCompile(`(\w+):("(?:\\.|[^"\\])*"|[^;]*);`)

func loadRules(t *testing.T) []rule {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("rules", "openclaw.rules"))
	if err != nil {
		t.Fatal(err)
	}
	var rules []rule
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		r := rule{options: make(map[string]string)}
		_, options, _ := strings.Cut(line, "(")
		for _, m := range optionPattern.FindAllStringSubmatch(options, -1) {
			r.options[m[1]] = m[2]
		}
		if r.sid, err = strconv.Atoi(r.options["sid"]); err != nil {
			t.Fatalf("no sid in %s", line)
		}
		rules = append(rules, r)
	}
	if len(rules) == 0 {
		t.Fatal("no rules")
	}
	return rules
}

// classes returns the names of classification.config and their priorities.
func classes(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("classification.config")
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]string)
	for _, m := range regexp.MustCompile(`(?m)^config classification: ([a-z0-9-]+),[^,\n]+,([1-4])$`).FindAllStringSubmatch(string(text), -1) {
		if _, twice := found[m[1]]; twice {
			t.Errorf("class %s is there twice", m[1])
		}
		found[m[1]] = m[2]
	}
	return found
}

func TestRulesFollowConventions(t *testing.T) {
	known := classes(t)
	priorities := map[string]string{"Critical": "1", "Major": "1", "Minor": "3"}
	severity := regexp.MustCompile(`\bsignature_severity (\w+)`)
	seen := make(map[int]bool)
	for _, r := range loadRules(t) {
		t.Run(strconv.Itoa(r.sid), func(t *testing.T) {
			if r.sid < firstSID || r.sid > lastSID || seen[r.sid] {
				t.Errorf("sid is out of range or used twice")
			}
			seen[r.sid] = true
			if !strings.HasPrefix(r.options["msg"], `"OPENCLAW `) {
				t.Errorf("message is %s", r.options["msg"])
			}
			if known[r.options["classtype"]] == "" {
				t.Errorf("classtype %q is not in classification.config", r.options["classtype"])
			}
			m := severity.FindStringSubmatch(r.options["metadata"])
			if m == nil || priorities[m[1]] == "" || priorities[m[1]] != r.options["priority"] {
				t.Errorf("priority %q does not go with the severity in %q", r.options["priority"], r.options["metadata"])
			}
			for _, name := range []string{"attack_target ", "mitre_tactic_id TA", "mitre_tactic_name ", "mitre_technique_id T", "mitre_technique_name ", "created_at 20"} {
				if !strings.Contains(r.options["metadata"], name) {
					t.Errorf("metadata has no %q", name)
				}
			}
			if n, err := strconv.Atoi(r.options["rev"]); err != nil || n < 1 {
				t.Errorf("rev is %q", r.options["rev"])
			}
		})
	}
}

// TestEveryRuleHasCases checks that no rule goes without a conversation that
// fires it and one that lies next to it.
func TestEveryRuleHasCases(t *testing.T) {
	fires, misses := make(map[int]bool), make(map[int]bool)
	for _, c := range ruleCases() {
		if slices.Contains(c.fires, c.rule) {
			fires[c.rule] = true
		} else {
			misses[c.rule] = true
		}
	}
	for _, r := range loadRules(t) {
		if !fires[r.sid] || !misses[r.sid] {
			t.Errorf("rule %d: fires in a case: %v, lies next to one: %v", r.sid, fires[r.sid], misses[r.sid])
		}
		delete(fires, r.sid)
	}
	for sid := range fires {
		t.Errorf("cases of rule %d, which does not exist", sid)
	}
}
