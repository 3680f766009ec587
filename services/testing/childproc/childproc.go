// Package childproc runs processes that a test or a benchmark starts, kills,
// starts again and measures. A process is by default the binary itself in
// another role, so that nothing is built twice; its TestMain or main begins
// with [Main].
//
//	parent                                         child
//	Process.Start ──▶ CHILDPROC_ROLE, _TASK ─────▶ Main ─▶ role
//	Process.Ready ◀── first line of its output ◀── fmt.Println
//	Process.Kill, Stop, Restart ── signals ──────▶
//	Log ◀──────────── standard error ◀──────────── logger
//	lifeline ──────── ends with the parent ──────▶ exit
package childproc

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds how long a process may take to say that it is ready, and to end
// after it was asked to.
const patience = 30 * time.Second

// ErrEnded says that a process has ended by itself.
var ErrEnded = errors.New("ended by itself")

// Process is a process that can be started again after its end. Its fields must
// not be changed after the first start; its methods may be called from several
// goroutines.
type Process struct {
	Role string // that the binary plays
	Path string // of another binary, in place of Role; it gets Args
	Args []string
	Task any      // for the function [Task] in the child, as JSON
	Env  []string // in addition to what the Go runtime needs; nothing else is inherited

	Files  []*os.File        // that the child inherits, from descriptor FirstFile on
	Stdout func(line string) // takes the lines of its standard output
	Stderr func(line string) // takes the lines of its standard error, which Log gets, too
	Log    *Log              // shared with other processes; nil for one of its own

	mu      sync.Mutex
	current *life
	kills   int
	ownLog  bool
}

// life is a process from its start to its end.
type life struct {
	cmd      *exec.Cmd
	stdin    io.WriteCloser
	lifeline *os.File
	first    chan string   // its first line of output
	ended    chan struct{} // closed when it has ended and all its output was taken
	awaited  bool          // its end was asked or waited for
}

func (l *life) over() bool {
	select {
	case <-l.ended:
		return true
	default:
		return false
	}
}

// Start starts the process, which must not be running.
func (p *Process) Start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.start()
}

func (p *Process) start() error {
	if p.current != nil && !p.current.over() {
		return fmt.Errorf("starting the %s process: it is running", p.name())
	}
	cmd, err := p.command()
	if err != nil {
		return fmt.Errorf("starting the %s process: %w", p.name(), err)
	}
	l := &life{cmd: cmd, first: make(chan string, 1), ended: make(chan struct{})}
	said := false
	cmd.Stdout = &lineWriter{take: func(line string) {
		if !said {
			said = true
			l.first <- line
		}
		if p.Stdout != nil {
			p.Stdout(line)
		}
	}}
	cmd.Stderr = &lineWriter{take: p.logged}
	if l.stdin, err = cmd.StdinPipe(); err != nil {
		return err
	}
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	defer read.Close()
	l.lifeline = write
	cmd.ExtraFiles = append([]*os.File{read}, p.Files...)
	if err := cmd.Start(); err != nil {
		return errors.Join(fmt.Errorf("starting the %s process: %w", p.name(), err), write.Close())
	}
	p.current = l
	go func() {
		defer close(l.ended)
		defer l.lifeline.Close()
		_ = cmd.Wait() // how it ended is in ProcessState
	}()
	return nil
}

func (p *Process) command() (*exec.Cmd, error) {
	path := p.Path
	if path == "" {
		var err error
		if path, err = os.Executable(); err != nil {
			return nil, err
		}
	}
	task, err := json.Marshal(p.Task)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(path, p.Args...)
	for _, entry := range os.Environ() {
		// GOMAXPROCS, GODEBUG and the like are not settings of ours.
		if strings.HasPrefix(entry, "GO") || strings.HasPrefix(entry, "TMPDIR=") || strings.HasPrefix(entry, "PATH=") {
			cmd.Env = append(cmd.Env, entry)
		}
	}
	// A data race ends the process, which is noticed.
	cmd.Env = append(cmd.Env, "GORACE=halt_on_error=1 atexit_sleep_ms=0", roleKey+"="+p.Role, taskKey+"="+string(task))
	cmd.Env = append(cmd.Env, p.Env...)
	if p.Log == nil {
		p.Log, p.ownLog = new(Log), true
	}
	return cmd, nil
}

func (p *Process) logged(line string) {
	p.Log.Add(p.name() + ": " + line)
	if p.Stderr != nil {
		p.Stderr(line)
	}
}

func (p *Process) name() string {
	if p.Path != "" {
		return filepath.Base(p.Path)
	}
	return p.Role
}

func (p *Process) running() *life {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.current
}

func (p *Process) awaited(l *life) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return l.awaited
}

// Run starts the process, which ends with the test.
func (p *Process) Run(t testing.TB) {
	t.Helper()
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	p.EndWith(t)
}

// EndWith kills the process when the test ends. A process that has ended by itself
// then is a fault. If the test has failed, what is in a log of its own is shown.
func (p *Process) EndWith(t testing.TB) {
	t.Cleanup(func() {
		if l := p.running(); l.over() && !p.awaited(l) {
			t.Errorf("the %s process %v: %s", p.name(), ErrEnded, l.cmd.ProcessState)
		}
		p.End()
		if t.Failed() && p.ownLog {
			t.Logf("the last lines of the %s process:\n%s", p.name(), p.Log)
		}
	})
}

// Ready waits for the first line of the process's output and returns it.
func (p *Process) Ready() (string, error) {
	l := p.running()
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case line := <-l.first:
		return line, nil
	case <-l.ended:
		select {
		case line := <-l.first:
			return line, nil
		default:
		}
		return "", fmt.Errorf("the %s process %w before it was ready: %s\n%s", p.name(), ErrEnded, l.cmd.ProcessState, p.Log)
	case <-late.C:
		return "", fmt.Errorf("the %s process is not ready after %s\n%s", p.name(), patience, p.Log)
	}
}

// PID is the process's id.
func (p *Process) PID() int { return p.running().cmd.Process.Pid }

// Ended is closed when the process has ended and all its output was taken.
func (p *Process) Ended() <-chan struct{} { return p.running().ended }

// Wait waits until the process has ended and returns an error unless it succeeded.
func (p *Process) Wait() error {
	p.mu.Lock()
	l := p.current
	l.awaited = true
	p.mu.Unlock()
	<-l.ended
	if !l.cmd.ProcessState.Success() {
		return fmt.Errorf("the %s process ended with %s\n%s", p.name(), l.cmd.ProcessState, p.Log)
	}
	return nil
}

// Write writes to the process's standard input. It fails if the process ends
// meanwhile.
func (p *Process) Write(b []byte) (int, error) { return p.running().stdin.Write(b) }

// Kills is how often the process was killed by Kill or Restart.
func (p *Process) Kills() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.kills
}

// Kill sends SIGKILL and waits for the end. It returns [ErrEnded] if the process
// has ended by itself before.
func (p *Process) Kill() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.kill()
}

func (p *Process) kill() error {
	l := p.current
	l.awaited = true
	before := l.over()
	_ = l.cmd.Process.Kill() // it may end just now: the state says how
	<-l.ended
	if before || l.cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		return fmt.Errorf("the %s process %w: %s\n%s", p.name(), ErrEnded, l.cmd.ProcessState, p.Log)
	}
	p.kills++
	return nil
}

// Restart kills the process and starts the next in its place.
func (p *Process) Restart() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return errors.Join(p.kill(), p.start())
}

// Stop terminates the process and waits for its end. It returns an error unless
// that was a success.
func (p *Process) Stop() error {
	l := p.running()
	_ = l.cmd.Process.Signal(syscall.SIGTERM) // it may have ended: Wait says how
	late := time.AfterFunc(patience, func() { _ = l.cmd.Process.Kill() })
	defer late.Stop()
	return p.Wait()
}

// End kills the process if it still runs.
func (p *Process) End() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.current != nil {
		p.current.awaited = true
		_ = p.current.cmd.Process.Kill()
		<-p.current.ended
	}
}
