package suricata

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	// image is the one that the sensor runs in.
	image = "jasonish/suricata:8.0"
	// runLimit bounds one run of Suricata; it takes about a second.
	runLimit = time.Minute
)

// engine is a real Suricata with the configuration of this directory.
type engine struct {
	binary string // on this machine; "" for the image
}

// findEngine returns the Suricata of the variable SURICATA, or that of the image
// if Docker has it. Without either the test is skipped.
func findEngine(t *testing.T) engine {
	t.Helper()
	if path := os.Getenv("SURICATA"); path != "" {
		return engine{binary: path}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := exec.CommandContext(ctx, "docker", "image", "inspect", image).Run(); err != nil {
		t.Skipf("no Suricata: set SURICATA to its path, or have Docker hold the image %s", image)
	}
	return engine{}
}

// run runs Suricata with dir as its directory of logs, and returns what it said.
// Paths in args must be within dir, or within this directory.
func (e engine) run(t *testing.T, dir string, args ...string) (string, error) {
	t.Helper()
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	var command []string
	if e.binary != "" {
		command = []string{
			e.binary, "-c", filepath.Join(here, "suricata.yaml"),
			"--set", "classification-file=" + filepath.Join(here, "classification.config"),
			"--set", "reference-config-file=" + filepath.Join(here, "reference.config"),
			"--set", "threshold-file=" + filepath.Join(here, "threshold.config"),
			"-S", filepath.Join(here, "rules", "openclaw.rules"),
		}
	} else {
		rules := t.TempDir()
		if err := os.WriteFile(filepath.Join(rules, "suricata.rules"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		command = []string{
			"docker", "run", "--rm", "--network", "none", "--cap-drop", "ALL", "--read-only",
			"--user", strconv.Itoa(os.Getuid()) + ":" + strconv.Itoa(os.Getgid()),
			"--volume", here + ":/suricata:ro", "--volume", here + ":" + here + ":ro",
			"--volume", rules + ":/rules:ro", "--volume", dir + ":" + dir,
			"--entrypoint", "/usr/bin/suricata", image, "-c", "/suricata/suricata.yaml",
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), runLimit)
	defer cancel()
	command = append(append(command, "-l", dir), args...)
	out, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput()
	return string(out), err
}

// read lets Suricata read a capture, which must be where run allows it, and
// returns the EVE lines that it wrote.
func (e engine) read(t *testing.T, dir, pcap string, args ...string) []string {
	t.Helper()
	out, err := e.run(t, dir, append([]string{"-r", pcap, "-k", "none"}, args...)...)
	if err != nil {
		t.Fatalf("running Suricata: %v\n%s", err, out)
	}
	eve, err := os.ReadFile(filepath.Join(dir, "eve.json"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(eve)), "\n")
}
