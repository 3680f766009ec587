package torture

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
)

// process is a child: this test binary in another role.
type process struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	ended chan struct{} // closed when it has ended and all its output was taken
}

// spawn starts a child. stdout takes its lines, log what it writes to standard
// error; both may be nil.
func spawn(role string, stdout func(line string), log io.Writer, env ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("looking up the test binary: %w", err)
	}
	p := &process{cmd: exec.Command(self), ended: make(chan struct{})}
	// Nothing is inherited that could be taken for a setting. A data race ends
	// the process, which is noticed.
	p.cmd.Env = append([]string{roleKey + "=" + role, "GORACE=halt_on_error=1 atexit_sleep_ms=0", "TMPDIR=" + os.TempDir()}, env...)
	p.cmd.Stderr = log
	if stdout != nil {
		p.cmd.Stdout = &lineWriter{take: stdout}
	}
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("making the input of a %s: %w", role, err)
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting a %s: %w", role, err)
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // how it ended is in ProcessState
	}()
	return p, nil
}

// errEnded reports that a process was to be killed which had ended by itself.
var errEnded = errors.New("ended by itself")

// kill ends the process with SIGKILL and waits for its end.
func (p *process) kill() error {
	select {
	case <-p.ended:
		return fmt.Errorf("process %w: %s", errEnded, p.cmd.ProcessState)
	default:
	}
	// It may end just now; how is told below.
	_ = p.cmd.Process.Kill()
	<-p.ended
	if p.cmd.ProcessState.Exited() {
		return fmt.Errorf("process %w: %s", errEnded, p.cmd.ProcessState)
	}
	return nil
}

// lineWriter hands complete lines on.
type lineWriter struct {
	take    func(line string)
	pending []byte
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.pending = append(w.pending, p...)
	for {
		line, rest, found := bytes.Cut(w.pending, []byte{'\n'})
		if !found {
			return len(p), nil
		}
		w.take(string(line))
		w.pending = rest
	}
}

// transcript keeps the last of what processes have logged, for the day a test
// fails.
type transcript struct {
	mu    sync.Mutex
	lines []string
}

const transcriptLines = 400

func (x *transcript) add(line string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.lines) == transcriptLines {
		x.lines = append(x.lines[:0], x.lines[transcriptLines/2:]...)
	}
	x.lines = append(x.lines, line)
}

// writer returns a writer that adds lines after a prefix.
func (x *transcript) writer(prefix string) io.Writer {
	return &lineWriter{take: func(line string) { x.add(prefix + ": " + line) }}
}

func (x *transcript) String() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return strings.Join(x.lines, "\n")
}
