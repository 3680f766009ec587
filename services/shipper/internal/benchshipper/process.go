package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// stats are what a measured process says of itself at its end.
type stats struct {
	CPU     time.Duration // user and system
	Mallocs uint64
	PeakRSS float64 // bytes
}

// statsFile in the environment names where a child writes its stats.
const statsFile = "BENCHSHIPPER_STATS"

// writeStats is a child's last act.
func writeStats() error {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return err
	}
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	peak := float64(usage.Maxrss) // KiB on Linux, bytes on Darwin (getrusage(2))
	if runtime.GOOS == "linux" {
		peak *= 1024
	}
	text, err := json.Marshal(stats{
		CPU:     time.Duration(usage.Utime.Nano() + usage.Stime.Nano()),
		Mallocs: memory.Mallocs,
		PeakRSS: peak,
	})
	if err != nil {
		return err
	}
	return os.WriteFile(os.Getenv(statsFile), text, 0o600)
}

// process is a measured process at work.
type process struct {
	cmd    *exec.Cmd
	stderr bytes.Buffer
	ended  chan error
	stats  string
}

// start starts this binary in a role.
func start(role, dir string, environ ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.Command(self), ended: make(chan error, 1), stats: dir + "/" + role + ".stats"}
	p.cmd.Env = append(append(os.Environ(), environ...), childRole+"="+role, statsFile+"="+p.stats)
	p.cmd.Stderr = &p.stderr
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the %s process: %w", role, err)
	}
	go func() { p.ended <- p.cmd.Wait() }()
	return p, nil
}

// stop interrupts the process and returns what it says of itself.
func (p *process) stop() (stats, error) {
	var s stats
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		return s, fmt.Errorf("stopping: %w\n%s", err, p.stderr.String())
	}
	if err := <-p.ended; err != nil {
		return s, fmt.Errorf("ended with %w\n%s", err, p.stderr.String())
	}
	text, err := os.ReadFile(p.stats)
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(text, &s)
}
