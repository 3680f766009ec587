//go:build !container

package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"

	"github.com/openclaw-security/bus/services/internal/daemon"
)

type upCommand struct {
	dataFlags
	Listen string `default:"127.0.0.1:4222" placeholder:"ADDR" help:"Where the embedded NATS server listens; port 0 takes a free one (${default})."`
}

// Help is shown by --help.
func (upCommand) Help() string {
	return "Follows the files named by SURICATA_EVE_PATH and TRACEE_EVENTS_PATH and prints alerts. Settings come from the environment; docs/configuration.md lists them."
}

// Run brings the bus up until ctx is done.
func (c *upCommand) Run(ctx context.Context, term terminal) error {
	settings, err := loadUp(term.environ)
	if err != nil {
		return err
	}
	data, err := c.dir()
	if err != nil {
		return err
	}
	log := daemon.Logger(term.stderr, settings.Log)
	warnUnknown(term.environ, log)
	settings.Notifier.Out = term.stdout
	s := stack{data: data, listen: c.Listen, settings: settings, context: cliContext, log: log}
	return s.run(ctx, func(up running) {
		fmt.Fprintf(term.stderr, "The bus is up: data in %s, NATS on %s.\n", data, up.url)
		if up.admin != "" {
			fmt.Fprintf(term.stderr, "Health and metrics: http://%s/readyz and /metrics\n", up.admin)
		}
		if up.proxy != "" {
			fmt.Fprintf(term.stderr, "LLM proxy: http://%s, which README.md says how to have OpenClaw use.\n", up.proxy)
		}
		for _, path := range s.sensorsWaited() {
			abs, err := filepath.Abs(path)
			if err != nil {
				abs = path
			}
			fmt.Fprintf(term.stderr, "Waiting for %s, which does not exist yet.\n", abs)
		}
		printLook(term.stderr, up)
	})
}

// printLook says how to look at a running bus.
func printLook(w io.Writer, up running) {
	fmt.Fprintf(w, "Watch it live with the nats command, as a read-only identity:\n  nats --context %s sub 'security.>'\n", contextName(up.context))
	fmt.Fprintf(w, "  nats --server %s --nkey %s --inbox-prefix %s sub 'security.>'\n", up.url, up.tailSeed, "_INBOX_tail")
}

func contextName(file string) string {
	base := filepath.Base(file)
	return base[:len(base)-len(filepath.Ext(base))]
}
