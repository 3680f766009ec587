package main

import (
	"context"
	"fmt"
	"time"

	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/notifier"
)

type provisionCommand struct {
	targetFlags
	Replicas    int           `default:"1" help:"Replicas of each stream: 1, or 3 or 5 on a cluster of as many servers."`
	AllowShrink bool          `help:"Allow smaller limits than those in force, which deletes messages beyond them."`
	Wait        time.Duration `default:"5s" help:"How long to wait for the server (${default}), and for the servers of a cluster to find each other."`
	JSON        bool          `help:"Print what was done as JSON."`
}

// Help is shown by --help.
func (provisionCommand) Help() string {
	return "Repeating it changes nothing. It refuses to touch what a newer version has made, and to do what would delete messages. How much each stream keeps is set by SECURITY_MAX_BYTES and the like; docs/configuration.md lists them. Each chat and each webhook that is configured (TELEGRAM_CHAT_ID, WEBHOOK_URL) gets durables of its own, which begin where the most advanced sink stands."
}

// Run creates or migrates streams and durables.
func (c *provisionCommand) Run(ctx context.Context, term terminal) error {
	var settings struct {
		Retention config.Retention
		Notifier  notifier.Config
	}
	if err := config.Load(&settings, append(term.environ[:len(term.environ):len(term.environ)], "NATS_URL=", "NATS_NKEY_SEED=", "NATS_NKEY_SEED_FILE=")); err != nil {
		return err
	}
	conn, err := c.connectWithin(ctx, c.Wait, bus.RoleProvisioner, term)
	if err != nil {
		return err
	}
	defer conn.Close()
	report, err := conn.Provision(ctx, bus.Plan{
		Replicas:    c.Replicas,
		Limits:      limits(settings.Retention),
		AllowShrink: c.AllowShrink,
		Consumers:   settings.Notifier.Consumers(),
		Wait:        c.Wait,
	})
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(term.stdout, report)
	}
	_, err = fmt.Fprintln(term.stdout, report)
	return err
}
