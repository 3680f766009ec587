// Command secbus is the operator's command: it runs the whole bus in one
// process, shows what passes over it, and says what is missing.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/openclaw-security/bus/services"
	"github.com/openclaw-security/bus/services/secbus/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	go func() {
		<-ctx.Done()
		stop() // a second signal ends the process at once
	}()
	term := cli.Terminal{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Environ: os.Environ()}
	os.Exit(cli.Run(ctx, os.Args[1:], term, services.All()))
}
