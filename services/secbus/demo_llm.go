//go:build !container

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/auditor"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/price"
	"github.com/openclaw-security/bus/services/secbus/internal/demo"
)

// converse has the demo's agent talk to its model through the proxy, and shows
// what became of each request. stored is how many events there are before.
func (d *demoRun) converse(ctx context.Context, conn *bus.Conn, stored int) error {
	d.say("\nNow the agent talks to its model, through the LLM proxy on http://%s. A local", d.up.proxy)
	d.say("stand-in answers in place of Anthropic; the guard's rules are the shipped ones, and")
	d.say("the detection dangerous-command is set to enforce.")
	scenes := demo.Scenes()
	for _, scene := range scenes {
		d.say("\n%s", scene.Title)
		a, err := scene.Ask(ctx, "http://"+d.up.proxy)
		if err != nil {
			return err
		}
		if a.Text != "" {
			d.say("  the model   %s", a.Text)
		}
		for _, tool := range a.Tools {
			d.say("  tool call   %s reaches the agent", tool)
		}
		if a.Error != "" {
			d.say("  the agent   is told: %s", a.Error)
		}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, demoPatience, fmt.Errorf("not everything came out within %s", demoPatience))
	defer cancel()
	records, err := finalRecords(ctx, conn, len(scenes))
	if err != nil {
		return fmt.Errorf("waiting for the audit records: %w", err)
	}
	// Each finding is an alert; the last line is to come after all of them.
	for _, a := range records {
		stored += len(a.Findings)
	}
	if _, err := waitForAll(ctx, conn, stored); err != nil {
		return fmt.Errorf("waiting for the alerts about them: %w", err)
	}
	d.say("\nTheir audit records, from the stream %s:", proto.StreamAudit)
	d.requests = records
	return d.table(records)
}

// audited waits until the requests are in the audit log and sums them up.
func (d *demoRun) audited(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, demoPatience, fmt.Errorf("the audit log did not have them within %s", demoPatience))
	defer cancel()
	r := auditor.Reader{Dir: filepath.Join(d.dir, "data", "audit"), Zone: time.Local}
	for _, a := range d.requests {
		for {
			shown, err := r.Show(ctx, a.RequestID)
			if err == nil && shown.End != nil {
				break
			}
			select {
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
				return errors.Join(context.Cause(ctx), err)
			}
		}
	}
	d.say("The audit log holds them, hash-chained and signed. What the day's requests came to:\n")
	return r.Report(ctx, d.term.stdout, auditor.Text, auditor.ByModel, auditor.Filter{}, price.Shipped())
}

// finalRecords waits until the final records of n requests are stored.
func finalRecords(ctx context.Context, conn *bus.Conn, n int) ([]proto.Audit, error) {
	for {
		var records []proto.Audit
		for m, err := range conn.History(ctx, proto.StreamAudit, everything, bus.Start{}) {
			if err != nil {
				return nil, err
			}
			var a proto.Audit
			if err := json.Unmarshal(m.Data, &a); err != nil {
				return nil, fmt.Errorf("reading an audit record: %w", err)
			}
			if a.Phase == proto.PhaseEnd {
				records = append(records, a)
			}
		}
		if len(records) >= n {
			return records, nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (d *demoRun) table(records []proto.Audit) error {
	t := tabwriter.NewWriter(d.term.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "  TIME\tDECISION\tSTATUS\tMODEL\tTOKENS\tTOOL CALLS\tFINDINGS")
	for _, a := range records {
		tokens := "-"
		if u := a.Usage; u != nil {
			tokens = fmt.Sprintf("%d in, %d out", u.Input, u.Output)
		}
		var tools, findings []string
		for _, c := range a.ToolCalls {
			tools = append(tools, c.Name+" "+string(c.Verdict))
		}
		for _, f := range a.Findings {
			findings = append(findings, f.Rule)
		}
		fmt.Fprintf(t, "  %s\t%s\t%d\t%s\t%s\t%s\t%s\n", a.Time.Local().Format(time.TimeOnly), a.Decision, a.Status, a.RequestModel,
			tokens, orDash(tools), orDash(findings))
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("writing the records: %w", err)
	}
	return nil
}
