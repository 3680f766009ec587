package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/testing/llmreplay/said"
)

// compareRecord compares the record and the alerts.
func (a *attempt) compareRecord(wanted proto.Decision, says *said.Answer) {
	expect, record := &a.recording.Expect, a.entry.End
	if record == nil {
		// Of a flood of refused requests not each is recorded.
		if wanted != proto.DecisionRefused && (a.status < 400 || len(a.sent) > 0) {
			a.differs(inRecord, "record", "one", "none")
		}
		return
	}
	a.differs(inRecord, "decision", wanted, record.Decision)
	if expect.Reason != "" && !strings.Contains(record.Reason, expect.Reason) {
		a.differs(inRecord, "reason", expect.Reason, record.Reason)
	}
	whole := wanted == proto.DecisionAllowed && record.Decision == wanted
	text := func(what string, want *string, said, got string) {
		if want != nil {
			a.differs(inRecord, what, *want, got)
		} else if whole {
			a.differs(inRecord, what, said, got)
		}
	}
	text("model", expect.Model, says.Model, record.ResponseModel)
	text("id", expect.ID, says.ID, record.ResponseID)
	if a.recording.Response == nil || !a.recording.Response.Cut {
		text("error type", expect.ErrorType, says.ErrorType, record.ErrorType)
	}
	if expect.Finish != nil {
		a.differs(inRecord, "finish reasons", expect.Finish, record.FinishReasons)
	} else if whole {
		a.differs(inRecord, "finish reasons", says.Finish, record.FinishReasons)
	}
	a.compareCalls(whole, says)
	a.compareUsage(whole, says)
	a.compareFindings(record)
}

func (a *attempt) compareCalls(whole bool, says *said.Answer) {
	wanted := a.recording.Expect.Calls
	if wanted == nil {
		if !whole {
			return
		}
		for _, c := range says.Calls {
			wanted = append(wanted, calledTool{Name: c.Name, ID: c.ID})
		}
	}
	var want, got []string
	for _, c := range wanted {
		want = append(want, fmt.Sprintf("%s(%s) %s", c.Name, c.ID, cmp.Or(c.Verdict, proto.DecisionAllowed)))
	}
	for _, c := range a.entry.End.ToolCalls {
		got = append(got, fmt.Sprintf("%s(%s) %s", c.Name, c.ID, c.Verdict))
	}
	a.differs(inRecord, "tool calls", want, got)
}

func (a *attempt) compareUsage(whole bool, says *said.Answer) {
	got := proto.Usage{}
	if u := a.entry.End.Usage; u != nil {
		got = *u
	}
	if want := a.recording.Expect.Usage; want != nil {
		for _, n := range []struct {
			what string
			want *int64
			got  int64
		}{
			{"input", want.Input, got.Input},
			{"output", want.Output, got.Output},
			{"cache_read", want.CacheRead, got.CacheRead},
			{"cache_creation", want.CacheCreation, got.CacheCreation},
			{"reasoning", want.Reasoning, got.Reasoning},
		} {
			if n.want != nil {
				a.differs(inRecord, "usage: "+n.what, *n.want, n.got)
			}
		}
		if want.Complete != nil {
			a.differs(inRecord, "usage: complete", *want.Complete, got.Complete)
		}
		return
	}
	if !whole {
		return
	}
	want := said.Tokens{}
	if says.Usage != nil {
		want = *says.Usage
	}
	a.differs(inRecord, "usage", fmt.Sprintf("%+v", want), fmt.Sprintf("%+v", said.Tokens{Input: got.Input, Output: got.Output, CacheRead: got.CacheRead, CacheCreation: got.CacheCreation, Reasoning: got.Reasoning}))
}

// compareFindings compares findings and alerts. What was stopped always has both.
func (a *attempt) compareFindings(record *proto.Audit) {
	var findings, alerts []string
	for _, f := range record.Findings {
		findings = append(findings, f.Rule)
	}
	for _, e := range a.entry.Alerts {
		if e.Rule != nil {
			alerts = append(alerts, e.Rule.ID)
		}
	}
	for what, rules := range map[string]struct{ want, got []string }{
		"findings": {a.recording.Expect.Findings, findings},
		"alerts":   {a.recording.Expect.Alerts, alerts},
	} {
		slices.Sort(rules.want)
		slices.Sort(rules.got)
		switch {
		case rules.want != nil:
			a.differs(inRecord, what, rules.want, rules.got)
		case record.Decision == proto.DecisionBlocked && len(rules.got) == 0:
			a.differs(inRecord, what, "one at least, as it was stopped", "none")
		}
	}
}
