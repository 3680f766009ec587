// Command benchidle measures the memory of an idle `secbus up`, beside that of
// a bare nats-server with JetStream in the same run.
//
//	go run ./services/testing/bench/idle -secbus bin/secbus
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/openclaw-security/bus/services/testing/childproc"
)

const roleBare = "nats-server" // without anything of ours

func main() {
	childproc.Main(childproc.Roles{roleBare: childproc.Func(serve)})
	secbus := flag.String("secbus", "bin/secbus", "the secbus binary to measure")
	settle := flag.Duration("settle", 10*time.Second, "how long each process idles before it is measured")
	flag.Parse()
	if err := measure(*secbus, *settle); err != nil {
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

	whole := &childproc.Process{
		Path: secbus, Args: []string{"up", "--data", filepath.Join(dir, "whole"), "--listen", "127.0.0.1:0"},
		Env: []string{
			"ADMIN_ADDR=127.0.0.1:0", "PROXY_ADDR=127.0.0.1:0",
			"SURICATA_EVE_PATH=" + filepath.Join(dir, "eve.json"), "TRACEE_EVENTS_PATH=" + filepath.Join(dir, "events.json"),
			"XDG_CONFIG_HOME=" + filepath.Join(dir, "config"), "HOME=" + dir,
		},
	}
	alone := &childproc.Process{Role: roleBare, Task: filepath.Join(dir, "bare")}

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

// idle runs a process for settle, then stores its resident set size in MiB in rss
// and ends it.
func idle(p *childproc.Process, settle time.Duration, rss *float64) error {
	if err := p.Start(); err != nil {
		return err
	}
	defer p.End()
	select {
	case <-p.Ended():
		return errors.Join(childproc.ErrEnded, p.Wait())
	case <-time.After(settle):
	}
	usage, err := p.Usage()
	*rss = float64(usage.RSS) / (1 << 20)
	return errors.Join(err, p.Stop())
}

// serve runs a nats-server with JetStream and nothing else until it is
// interrupted.
func serve(ctx context.Context) error {
	var dir string
	if err := childproc.Task(&dir); err != nil {
		return err
	}
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
