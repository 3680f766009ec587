package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services"
	"github.com/openclaw-security/bus/services/auditor"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/render"
	"github.com/openclaw-security/bus/services/internal/retry"
	"github.com/openclaw-security/bus/services/secbus/cli"
)

// converse has the demo's agent talk to its model through the proxy, and shows
// what became of each request. stored is how many events there are before.
func (d *demo) converse(ctx context.Context, conn *bus.Conn, stored int) error {
	d.say("\nNow the agent talks to its model, through the LLM proxy on http://%s. A local", d.proxy)
	d.say("stand-in answers in place of Anthropic; the guard's rules are the shipped ones, and")
	d.say("the detection dangerous-command is set to enforce.")
	talk := scenes()
	for _, scene := range talk {
		d.say("\n%s", scene.Title)
		a, err := scene.ask(ctx, "http://"+d.proxy)
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
			d.say("  the agent   gets an error: %s", a.Error)
		}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("not everything came out within %s", patience))
	defer cancel()
	records, err := finalRecords(ctx, conn, len(talk))
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
func (d *demo) audited(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("the audit log did not have them within %s", patience))
	defer cancel()
	r := auditor.Reader{Dir: filepath.Join(d.data(), "audit"), Zone: time.Local}
	for _, a := range d.requests {
		for {
			shown, err := r.Show(ctx, a.RequestID)
			if err == nil && shown.End != nil {
				break
			}
			if late := retry.Sleep(ctx, pollInterval); late != nil {
				return errors.Join(late, err)
			}
		}
	}
	d.say("The audit log holds them, hash-chained and signed. What the day's requests came to:\n")
	if code := cli.Run(ctx, []string{"audit", "report", "--by", "model", "--data", d.data()}, d.term, services.All()); code != 0 {
		return fmt.Errorf("secbus audit report ended with exit code %d", code)
	}
	return nil
}

// finalRecords waits until the final records of n requests are stored.
func finalRecords(ctx context.Context, conn *bus.Conn, n int) ([]proto.Audit, error) {
	for {
		var records []proto.Audit
		for m, err := range conn.History(ctx, proto.StreamAudit, proto.StoredPrefix+".>", bus.Start{}) {
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
		if err := retry.Sleep(ctx, pollInterval); err != nil {
			return nil, err
		}
	}
}

func (d *demo) table(records []proto.Audit) error {
	t := render.NewTable(d.term.Stdout, "TIME", "DECISION", "STATUS", "MODEL", "TOKENS", "TOOL CALLS", "FINDINGS")
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
		t.Row(a.Time.Local().Format(time.TimeOnly), a.Decision, a.Status, a.RequestModel,
			tokens, cmp.Or(strings.Join(tools, ", "), "-"), cmp.Or(strings.Join(findings, ", "), "-"))
	}
	return t.End()
}
