package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

const audited = `plugin warmed up
{"ts":1795331671000,"summary":{"critical":1,"warn":1,"info":0},"findings":[
 {"checkId":"gateway.bind_no_auth","severity":"critical","title":"Gateway binds beyond loopback without auth","detail":"bind=lan","remediation":"Set gateway.auth."},
 {"checkId":"fs.state_dir.perms","severity":"warn","title":"State directory is readable by others","detail":"mode=755"}]}
`

// TestPosture: a finding is new once, and said to be gone once.
func TestPosture(t *testing.T) {
	s := newSession(t)
	audit, output, state := filepath.Join(s.dir, "audit.json"), filepath.Join(s.dir, "posture.json"), filepath.Join(s.dir, "state.json")
	run := func(text string) string {
		t.Helper()
		if err := os.WriteFile(audit, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(output); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		if code, _, stderr := s.run(t.Context(), "posture", audit, "--output", output, "--state", state); code != exitOK {
			t.Fatal(stderr)
		}
		lines, err := os.ReadFile(output)
		if err != nil {
			t.Fatal(err)
		}
		return string(lines)
	}
	const critical = `{"time":"2026-11-22T07:14:31Z","kind":"finding","status":"new","severity":"critical","check":"gateway.bind_no_auth","title":"Gateway binds beyond loopback without auth","detail":"bind=lan","remedy":"Set gateway.auth."}` + "\n"
	const warning = `{"time":"2026-11-22T07:14:31Z","kind":"finding","status":"new","severity":"warn","check":"fs.state_dir.perms","title":"State directory is readable by others","detail":"mode=755"}` + "\n"
	const summary = `{"time":"2026-11-22T07:14:31Z","kind":"summary","severity":"info","title":"OpenClaw's security audit: 1 critical, 1 to look at, 0 for information"}` + "\n"
	status := func(line, word string) string { return strings.Replace(line, `"new"`, `"`+word+`"`, 1) }

	if got, want := run(audited), critical+warning+summary; got != want {
		t.Errorf("first\n%swant\n%s", got, want)
	}
	if got, want := run(audited), status(critical, "same")+status(warning, "same")+summary; got != want {
		t.Errorf("the same again\n%swant\n%s", got, want)
	}
	const fixed = `{"ts":1795331671000,"summary":{"critical":1,"warn":1,"info":0},"findings":[{"checkId":"gateway.bind_no_auth","severity":"critical","title":"Gateway binds beyond loopback without auth","detail":"bind=0.0.0.0","remediation":"Set gateway.auth."}]}`
	want := strings.Replace(critical, "bind=lan", "bind=0.0.0.0", 1) + status(critical, "gone") + status(warning, "gone") + summary
	if got := run(fixed); got != want {
		t.Errorf("one fixed, one changed\n%swant\n%s", got, want)
	}
}

func TestPostureRefusesOtherText(t *testing.T) {
	s := newSession(t)
	for name, text := range map[string]string{
		"no JSON": "command not found", "another document": `{"ok":true}`, "cut off": audited[:120], "nothing": "",
		"too long": strings.Repeat(" ", maxAudit+1),
	} {
		file := filepath.Join(s.dir, "audit.json")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if code, stdout, stderr := s.run(t.Context(), "posture", file); code != exitFailed || len(stdout) > 0 || !strings.Contains(string(stderr), "audit") {
			t.Errorf("%s: exit code %d, %s%s", name, code, stdout, stderr)
		}
	}
}

// TestPostureMappingKnowsTheSeverities: what the command writes is what the mapping
// looks up.
func TestPostureMappingKnowsTheSeverities(t *testing.T) {
	text, err := os.ReadFile("../../../mappings/openclaw-posture.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var mapping struct {
		Severity struct {
			Values map[string]string `yaml:"values"`
		} `yaml:"severity"`
	}
	if err := yaml.Unmarshal(text, &mapping); err != nil {
		t.Fatal(err)
	}
	for word, want := range map[string]string{"new critical": "high", "new warn": "medium", "same critical": "", "gone critical": "", "new info": ""} {
		if got := mapping.Severity.Values[word]; got != want {
			t.Errorf("%s is %q, want %q", word, got, want)
		}
	}
}
