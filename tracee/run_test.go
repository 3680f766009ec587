package tracee

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// runLimit bounds one run of the script.
const runLimit = 30 * time.Second

// runScript runs run.sh with a Tracee that does what program says, in sh.
func runScript(t *testing.T, dir, program string, environment ...string) error {
	t.Helper()
	fake := filepath.Join(dir, "tracee")
	if err := os.WriteFile(fake, []byte("#!/bin/sh\n"+program), 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), runLimit)
	defer cancel()
	command := exec.CommandContext(ctx, "sh", "run.sh")
	command.WaitDelay = time.Second // its children hold the output open
	command.Env = append(os.Environ(), append([]string{
		"TRACEE_EVENTS=" + filepath.Join(dir, "out", "events.json"),
		"TRACEE_PROGRAM=" + fake,
		"TRACEE_PIPE=" + filepath.Join(dir, "pipe"),
		"TRACEE_NATIVE=native",
		"TRACEE_RENDERED=" + filepath.Join(dir, "rendered"),
	}, environment...)...)
	out, err := command.CombinedOutput()
	t.Logf("%s", out)
	return err
}

func read(t *testing.T, elements ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(elements...))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestRunRotatesBetweenLines(t *testing.T) {
	dir := t.TempDir()
	// Lines of 20 bytes, five to a file, three files and the current one kept.
	err := runScript(t, dir, `i=1000; while [ $i -lt 1028 ]; do echo "{\"sequence\": $i}"x; i=$((i+1)); done`,
		"TRACEE_LOG_MAX_BYTES=100", "TRACEE_LOG_KEEP=3")
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "out")
	got := read(t, out, "events.json.3") + read(t, out, "events.json.2") + read(t, out, "events.json.1") + read(t, out, "events.json")
	var want strings.Builder
	for i := 1010; i < 1028; i++ {
		fmt.Fprintf(&want, "{\"sequence\": %d}x\n", i)
	}
	if got != want.String() {
		t.Errorf("kept:\n%s\nwant:\n%s", got, want.String())
	}
	if files, _ := filepath.Glob(filepath.Join(out, "*")); len(files) != 4 {
		t.Errorf("files %q, want 4", files)
	}
}

func TestRunKeepsWhatWasWritten(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "out"), 0o755); err != nil {
		t.Fatal(err)
	}
	events := filepath.Join(dir, "out", "events.json")
	if err := os.WriteFile(events, []byte("{\"n\":1}\n{\"n\":"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := runScript(t, dir, `echo '{"n":3}'`); err != nil {
		t.Fatal(err)
	}
	if got, want := read(t, events), "{\"n\":1}\n{\"n\":\n{\"n\":3}\n"; got != want {
		t.Errorf("events %q, want %q", got, want)
	}
}

func TestRunReturnsTraceesStatus(t *testing.T) {
	err := runScript(t, t.TempDir(), "exit 2")
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 2 {
		t.Errorf("error %v, want exit status 2", err)
	}
}

func TestRunGivesTraceeItsOptions(t *testing.T) {
	dir := t.TempDir()
	if err := runScript(t, dir, `echo "$@"`, "TRACEE_POLICIES=/openclaw/policies"); err != nil {
		t.Fatal(err)
	}
	got := read(t, dir, "out", "events.json")
	if want := "--output json --output option:parse-arguments --policy /openclaw/policies\n"; got != want {
		t.Errorf("options %q, want %q", got, want)
	}
}

// Where OpenClaw runs without a container, its policies name its user's directories.
func TestRunRendersNativePolicies(t *testing.T) {
	dir := t.TempDir()
	if err := runScript(t, dir, `echo "$@"`, "TRACEE_POLICIES=/p", "OPENCLAW_NATIVE_HOME=/home/me", "OPENCLAW_STATE_DIR=/srv/claw"); err != nil {
		t.Fatal(err)
	}
	rendered := filepath.Join(dir, "rendered")
	if got, want := read(t, dir, "out", "events.json"), "--output json --output option:parse-arguments --policy /p --policy "+rendered+"\n"; got != want {
		t.Errorf("options %q, want %q", got, want)
	}
	files := loadPolicy(t, rendered, "openclaw-native-files.yaml")
	filters, _ := files.filters("security_file_open")
	for _, want := range []string{"/srv/claw/openclaw.json", "/srv/claw/credentials/*", "/srv/claw/workspace/skills/*", "/home/me/.ssh/*", "*/SOUL.md"} {
		if !slices.Contains(filters, "data.pathname="+want) {
			t.Errorf("no filter for %s", want)
		}
	}
	for _, filter := range filters {
		if strings.Contains(filter, "@") || strings.Contains(filter, "/etc/shadow") || strings.HasSuffix(filter, "/environ") {
			t.Errorf("filter %s", filter)
		}
	}
	agent := loadPolicy(t, rendered, "openclaw-native-agent.yaml")
	if !slices.Contains(agent.Spec.Scope, "follow") {
		t.Errorf("the gateway's descendants are not followed: scope %q", agent.Spec.Scope)
	}
}

func TestRunRefusesPathsThatTraceeCannotWatch(t *testing.T) {
	for _, home := range []string{"home/me", "/home/a,b", "/home/me/", "/home/*", "/home/../root", "/home/a b", "/home/a=b", "/home/a#b"} {
		var exit *exec.ExitError
		if err := runScript(t, t.TempDir(), "exit 0", "OPENCLAW_NATIVE_HOME="+home); !errors.As(err, &exit) || exit.ExitCode() != 64 {
			t.Errorf("%s: error %v, want exit status 64", home, err)
		}
	}
}

// TestRunPassesTheSignalOn has Tracee stop its own parent, as a container
// runtime does.
func TestRunPassesTheSignalOn(t *testing.T) {
	dir := t.TempDir()
	err := runScript(t, dir, `trap 'echo "{\"end\":true}"; exit 0' TERM
echo '{"begin":true}'
kill -TERM $PPID
while :; do sleep 0.05; done`)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := read(t, dir, "out", "events.json"), "{\"begin\":true}\n{\"end\":true}\n"; got != want {
		t.Errorf("events %q, want %q", got, want)
	}
}
