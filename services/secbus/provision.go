package main

import (
	"context"
	"fmt"

	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/config"
)

type provisionCommand struct {
	targetFlags
	Replicas    int  `default:"1" help:"Replicas of each stream: 1, or 3 or 5 on a cluster of as many servers."`
	AllowShrink bool `help:"Allow smaller limits than those in force, which deletes messages beyond them."`
	JSON        bool `help:"Print what was done as JSON."`
}

// Help is shown by --help.
func (provisionCommand) Help() string {
	return "Repeating it changes nothing. It refuses to touch what a newer version has made, and to do what would delete messages. How much each stream keeps is set by SECURITY_MAX_BYTES and the like; docs/configuration.md lists them."
}

// Run creates or migrates streams and durables.
func (c *provisionCommand) Run(ctx context.Context, term terminal) error {
	var retention config.Retention
	if err := config.Load(&retention, term.environ); err != nil {
		return err
	}
	conn, err := c.connect(ctx, bus.RoleProvisioner, term)
	if err != nil {
		return err
	}
	defer conn.Close()
	report, err := conn.Provision(ctx, bus.Plan{
		Replicas:    c.Replicas,
		Limits:      limits(retention),
		AllowShrink: c.AllowShrink,
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
