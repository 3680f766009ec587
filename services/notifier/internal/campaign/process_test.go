package campaign

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// process is a child: this test binary in another role.
type process struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	ended chan struct{} // closed when it has ended and all its output was taken
}

// spawn starts a child, which writes its log to log.
func spawn(role string, log io.Writer, env ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("looking up the test binary: %w", err)
	}
	p := &process{cmd: exec.Command(self), ended: make(chan struct{})}
	// Nothing is inherited that could be taken for a setting. A data race ends
	// the process, which is noticed.
	p.cmd.Env = append([]string{roleKey + "=" + role, "GORACE=halt_on_error=1 atexit_sleep_ms=0", "TMPDIR=" + os.TempDir()}, env...)
	p.cmd.Stderr = log
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
	// It may have ended, or end just now; how is told below.
	_ = p.cmd.Process.Kill()
	<-p.ended
	if p.cmd.ProcessState.Exited() {
		return fmt.Errorf("%w: %s", errEnded, p.cmd.ProcessState)
	}
	return nil
}

// stop asks the process to end, and returns an error if it does not end well.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		return fmt.Errorf("interrupting: %w", err)
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case <-p.ended:
	case <-late.C:
		return errors.Join(fmt.Errorf("still not ended after %s", patience), p.kill())
	}
	if !p.cmd.ProcessState.Success() {
		return fmt.Errorf("ended with %s", p.cmd.ProcessState)
	}
	return nil
}

// life is a process that is started again as soon as it has been killed.
type life struct {
	name  string
	start func() (*process, error)

	mu      sync.Mutex
	current *process
	kills   int
	fault   error // the first thing that should not have happened
}

// begin starts the first process.
func (l *life) begin() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var err error
	l.current, err = l.start()
	return err
}

// kill kills the process and starts the next.
func (l *life) kill() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.current == nil {
		return
	}
	if err := l.current.kill(); err != nil {
		l.note(err)
	}
	l.kills++
	next, err := l.start()
	if err != nil {
		l.note(err)
	}
	l.current = next
}

func (l *life) note(err error) {
	if l.fault == nil {
		l.fault = fmt.Errorf("the %s process: %w", l.name, err)
	}
}

// end ends the process by end, and returns what should not have happened to any
// process of this life.
func (l *life) end(end func(*process) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.current != nil {
		if err := end(l.current); err != nil {
			l.note(err)
		}
		l.current = nil
	}
	return l.fault
}

// transcript keeps the last of what processes have logged, for the day a test
// fails.
type transcript struct {
	mu    sync.Mutex
	lines []string
}

const transcriptLines = 600

func (x *transcript) add(line string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.lines) == transcriptLines {
		x.lines = append(x.lines[:0], x.lines[transcriptLines/2:]...)
	}
	x.lines = append(x.lines, line)
}

func (x *transcript) String() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return strings.Join(x.lines, "\n")
}

// writer returns a writer that adds lines after a prefix.
func (x *transcript) writer(prefix string) io.Writer {
	return &lineWriter{take: func(line string) { x.add(prefix + ": " + line) }}
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
