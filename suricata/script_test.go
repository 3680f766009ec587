package suricata

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// sandbox is a directory with the programs that a script calls, played by other
// scripts, and the directories that it works in.
type sandbox struct {
	t   *testing.T
	dir string
	env []string
}

func newSandbox(t *testing.T) *sandbox {
	t.Helper()
	s := &sandbox{t: t, dir: t.TempDir()}
	for _, name := range []string{"bin", "config/rules", "rules", "logs", "net"} {
		if err := os.MkdirAll(s.path(name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s.write("config/rules/openclaw.rules", "alert local\n")
	s.env = append(os.Environ(),
		"PATH="+s.path("bin")+":"+os.Getenv("PATH"),
		"SURICATA_CONFIG="+s.path("config"), "SURICATA_RULES="+s.path("rules"), "SURICATA_LOGS="+s.path("logs"),
		"SURICATA_INTERFACES="+s.path("net"), "SURICATA_ROUTES="+s.path("routes"), "SURICATA_CAPTURING="+s.path("capturing"), "SURICATA_CHECK_SECONDS=0.05",
		"SANDBOX="+s.dir)
	return s
}

// pretendRoot has a script take itself for root, which it may give up if the sandbox has
// the file "allowed".
func (s *sandbox) pretendRoot() {
	s.program("id", "echo ${PRETENDED:-0}\n")
	s.program("chown", `echo "chown $*" >>"$SANDBOX/calls"`+"\n")
	s.program("setpriv", `[ -e "$SANDBOX/allowed" ] || { echo 'setgroups failed' >&2; exit 127; }
echo "setpriv $1 $2 $3 $4 $5 $6 $7 $8 $9" >>"$SANDBOX/calls"
shift 9
export PRETENDED=65533
exec "$@"
`)
}

func (s *sandbox) path(name string) string { return filepath.Join(s.dir, filepath.FromSlash(name)) }

func (s *sandbox) write(name, text string) {
	s.t.Helper()
	path := s.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.t.Fatal(err)
	}
	// By renaming, as a reader of the file must not find half of it.
	if err := os.WriteFile(path+".part", []byte(text), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(path+".part", path); err != nil {
		s.t.Fatal(err)
	}
}

// read returns a file's text, "" if there is none.
func (s *sandbox) read(name string) string {
	s.t.Helper()
	data, err := os.ReadFile(s.path(name))
	if err != nil && !os.IsNotExist(err) {
		s.t.Fatal(err)
	}
	return string(data)
}

func (s *sandbox) exists(name string) bool {
	_, err := os.Stat(s.path(name))
	return err == nil
}

// program puts a program of the given name in the script's path.
func (s *sandbox) program(name, script string) { s.write("bin/"+name, "#!/bin/sh\n"+script) }

// command is a script of this directory, to be run in the sandbox.
func (s *sandbox) command(ctx context.Context, script string, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, "sh", append([]string{script}, args...)...)
	command.Env = s.env
	// Children of a script that was killed may hold its output open.
	command.WaitDelay = time.Second
	return command
}

// eventually waits until holds returns true.
func (s *sandbox) eventually(what string, holds func() bool) {
	s.t.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	timeout := time.After(20 * time.Second)
	for !holds() {
		select {
		case <-ticker.C:
		case <-timeout:
			s.t.Fatalf("waited in vain: %s; calls so far:\n%s", what, s.read("calls"))
		}
	}
}

func (s *sandbox) calls(line string) int { return strings.Count(s.read("calls"), line+"\n") }
