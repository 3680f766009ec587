// Command benchidle measures the memory of an idle `secbus up`, beside that of
// a bare nats-server with JetStream in the same run.
//
//	go run ./services/secbus/internal/benchidle -secbus bin/secbus
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

func main() {
	secbus := flag.String("secbus", "bin/secbus", "the secbus binary to measure")
	settle := flag.Duration("settle", 10*time.Second, "how long each process idles before it is measured")
	bare := flag.String("bare", "", "run a bare nats-server on this directory instead (used by the measurement itself)")
	flag.Parse()
	run := func() error { return measure(*secbus, *settle) }
	if *bare != "" {
		run = func() error { return serve(*bare) }
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "benchidle:", err)
		os.Exit(1)
	}
}

// measure starts both processes, lets them idle side by side, and prints their
// resident set sizes in MiB.
func measure(secbus string, settle time.Duration) error {
	dir, err := os.MkdirTemp("", "benchidle-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)

	self, err := os.Executable()
	if err != nil {
		return err
	}
	whole := exec.Command(secbus, "up", "--data", filepath.Join(dir, "whole"), "--listen", "127.0.0.1:0")
	whole.Env = append(os.Environ(),
		"ADMIN_ADDR=127.0.0.1:0",
		"PROXY_ADDR=127.0.0.1:0",
		"SURICATA_EVE_PATH="+filepath.Join(dir, "eve.json"),
		"TRACEE_EVENTS_PATH="+filepath.Join(dir, "events.json"),
		"XDG_CONFIG_HOME="+filepath.Join(dir, "config"))
	alone := exec.Command(self, "-bare", filepath.Join(dir, "bare"))

	wholeRSS, bareRSS := 0.0, 0.0
	err = errors.Join(
		idle(whole, settle, &wholeRSS),
		idle(alone, settle, &bareRSS),
	)
	if err != nil {
		return err
	}
	fmt.Printf("result idle_rss_mb %.1f MiB\n", wholeRSS)
	fmt.Printf("result bare_server_rss_mb %.1f MiB\n", bareRSS)
	fmt.Printf("result idle_times_bare_server %.2f ratio\n", wholeRSS/bareRSS)
	return nil
}

// idle runs cmd for settle, then stores its resident set size in MiB in rss and
// ends it.
func idle(cmd *exec.Cmd, settle time.Duration, rss *float64) error {
	var stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = io.Discard, &stderr
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", cmd.Path, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		return fmt.Errorf("%s ended by itself: %w\n%s", cmd.Path, err, stderr.String())
	case <-time.After(settle):
	}
	var err error
	*rss, err = residentMiB(cmd.Process.Pid)
	err = errors.Join(err, cmd.Process.Signal(os.Interrupt))
	if waitErr := <-ended; waitErr != nil {
		err = errors.Join(err, fmt.Errorf("ending %s: %w\n%s", cmd.Path, waitErr, stderr.String()))
	}
	return err
}

// residentMiB reads VmRSS from /proc/PID/status (proc(5)), which Linux alone
// has.
func residentMiB(pid int) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("reading the process's memory (needs Linux): %w", err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 64)
			return kib / 1024, err
		}
	}
	return 0, errors.New("reading the process's memory: no VmRSS")
}

// serve runs a nats-server with JetStream and nothing else until it is
// interrupted.
func serve(dir string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: dir, NoSigs: true, NoLog: true, SyncAlways: true,
	})
	if err != nil {
		return err
	}
	s.Start()
	<-ctx.Done()
	s.Shutdown()
	s.WaitForShutdown()
	return nil
}
