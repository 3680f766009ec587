package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"time"

	"github.com/openclaw-security/bus/services/internal/daemon"
	"github.com/openclaw-security/bus/services/notifier"
	"github.com/openclaw-security/bus/services/shipper"
)

// The roles of the other processes.
const (
	roleServer   = "server"
	roleShipper  = "shipper"
	roleNotifier = "notifier"
	roleNaive    = "naive"
)

// child is one of the other processes. It returns the exit code.
func child(role string) int {
	go func() {
		// No role reads input: its end is that of the parent.
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(1)
	}()
	switch role {
	case roleShipper:
		return daemon.Program[shipper.Config]{Name: role, Run: shipper.Run}.Main(nil)
	case roleNotifier:
		return daemon.Program[notifier.Config]{Name: role, Run: notifier.Run}.Main(nil)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	switch role {
	case roleServer:
		err = serve(ctx)
	case roleNaive:
		err = tellNaively(ctx)
	default:
		err = errors.New("unknown role")
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", role, err)
		return 1
	}
	return 0
}

// process is a child at work.
type process struct {
	role   string
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stderr bytes.Buffer
	ended  chan error
}

// start starts this binary in a role. Nothing is inherited that could be taken
// for a setting.
func start(role string, environ ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &process{role: role, cmd: exec.Command(self), ended: make(chan error, 1)}
	p.cmd.Env = append([]string{roleVar + "=" + role, "TMPDIR=" + os.TempDir()}, environ...)
	p.cmd.Stderr = &p.stderr
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the %s process: %w", role, err)
	}
	go func() { p.ended <- p.cmd.Wait() }()
	return p, nil
}

// stop interrupts the process and waits until it has ended.
func (p *process) stop() error {
	// It may have ended already; then how tells.
	_ = p.cmd.Process.Signal(os.Interrupt)
	late := time.AfterFunc(patience, func() { _ = p.cmd.Process.Kill() })
	defer late.Stop()
	if err := <-p.ended; err != nil {
		return fmt.Errorf("the %s process: %w\n%s", p.role, err, p.stderr.String())
	}
	return nil
}

// peakRSS is the most memory that the process has had, in bytes.
func (p *process) peakRSS() (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("reading the process's memory, which needs Linux: %w", err)
	}
	for scanner := bufio.NewScanner(bytes.NewReader(status)); scanner.Scan(); {
		if kb, ok := strings.CutPrefix(scanner.Text(), "VmHWM:"); ok {
			n, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(kb), " kB"), 64)
			return n * 1024, err
		}
	}
	return 0, fmt.Errorf("no VmHWM of the %s process", p.role)
}
