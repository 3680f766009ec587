package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/services/secbus/cli"
)

func output(t *testing.T, dir, name string) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func text(t *testing.T, f *os.File) string {
	t.Helper()
	content, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// TestDemo is the promise of the README: one command, and the recorded attack
// comes out as alerts, each once.
func TestDemo(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", dir) // where the nats command's context is written
	stdout, stderr := output(t, dir, "stdout"), output(t, dir, "stderr")
	d := demo{term: cli.Terminal{Stdout: stdout, Stderr: stderr}}
	err := d.run(t.Context())
	out, errs := text(t, stdout), text(t, stderr)
	if err != nil {
		t.Fatalf("%v\n%s%s", err, out, errs)
	}
	alerts := regexp.MustCompile(`(?m)^\d\d:\d\d:\d\d (LOW|MEDIUM|HIGH|CRITICAL) +(suricata|tracee) +(.*)$`).FindAllStringSubmatch(out, -1)
	shown := make(map[string]int)
	for _, a := range alerts {
		shown[a[2]+" "+a[1]]++
	}
	want := map[string]int{
		"suricata CRITICAL": 4, "suricata HIGH": 8, "suricata MEDIUM": 1, "suricata LOW": 2,
		"tracee CRITICAL": 5, "tracee HIGH": 13, "tracee MEDIUM": 10, "tracee LOW": 4,
	}
	for what, n := range want {
		if shown[what] != n {
			t.Errorf("%s: %d alerts shown, want %d", what, shown[what], n)
		}
	}
	for _, line := range []string{
		"CRITICAL suricata  OPENCLAW cloud metadata service access from container  172.17.0.2:44886 → 169.254.169.254:80  rule 9900001",
		"CRITICAL tracee    Cgroups release agent file modification (python3)",
		"HIGH     tracee    OpenClaw's secrets opened by another program: openat /home/node/.openclaw/openclaw.json (python3)",
		"99 lines written by the sensors, 99 events stored once each: 47 alerts, 52 telemetry.",
		"nats --context openclaw-security-demo sub 'security.>'",
		" tail --since 1h", " replay --since 1h",
	} {
		if !strings.Contains(out, line) {
			t.Errorf("the demo does not show %q\n%s", line, out)
		}
	}
	if errs != "" {
		t.Errorf("the demo complains:\n%s", errs)
	}
}
