package bustest

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/natsconf"
	"github.com/openclaw-security/bus/services/internal/natsd"
)

// Process is the test binary as a process of its own, which can be killed. What
// it is to do, its TestMain takes from the environment. It has a pipe as its
// input, which ends with the test, however that ends.
type Process struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	stderr bytes.Buffer // to be read once it has been killed
}

// Begin starts a process that is killed when the test ends; say, if it is set,
// gets the first line that it prints. It inherits files, from descriptor 3 on.
func Begin(t *testing.T, say *string, files []*os.File, environ ...string) *Process {
	t.Helper()
	p := &Process{cmd: exec.Command(os.Args[0])}
	p.cmd.Env = append(os.Environ(), environ...)
	p.cmd.ExtraFiles = files
	p.cmd.Stderr = &p.stderr
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Kill(t) })
	if say != nil {
		line, err := bufio.NewReader(stdout).ReadString('\n')
		if err != nil {
			p.Kill(t)
			t.Fatalf("the process says nothing: %v\n%s", err, p.stderr.String())
		}
		*say = strings.TrimSpace(line)
	}
	return p
}

// Kill is SIGKILL. A process that has ended by itself is an error.
func (p *Process) Kill(t *testing.T) {
	t.Helper()
	if p.cmd.ProcessState != nil {
		return
	}
	_ = p.cmd.Process.Kill()
	if err := p.cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("the process has not waited to be killed: %v\n%s", err, p.stderr.String())
	}
	_ = p.stdin.Close()
}

// ServeNATS is what a process does that is the NATS server of [Host] in dir: it
// prints its URL and serves until its input ends.
func ServeNATS(dir, listen string) error {
	ids, err := Identities(dir)
	if err != nil {
		return err
	}
	s, err := natsd.Start(natsd.Config{Dir: filepath.Join(dir, "nats"), Listen: listen, Roles: bus.Roles(Host, nil), PublicKeys: ids.PublicKeys()})
	if err != nil {
		return err
	}
	fmt.Println(s.URL())
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// Identities are the keys of the server in dir.
func Identities(dir string) (*natsconf.Identities, error) {
	var names []string
	for _, r := range bus.Roles(Host, nil) {
		names = append(names, r.Name)
	}
	return natsconf.LoadOrCreate(filepath.Join(dir, "keys"), names)
}
