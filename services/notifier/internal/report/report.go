// Package report sums up a day.
//
//	alerts and events ─▶ alerts by rule, DNS names, destinations ─┐
//	the auditor ───────▶ LLM requests, tokens, cost ──────────────┼─▶ Report ─▶ Text
//	last messages ─────▶ sensors that fell silent ────────────────┘
//
// Nothing is stored between reports: what is counted is what is stored. What a blocked
// or an incomplete LLM request is and what one costs, the auditor defines.
package report

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/audit"
	"github.com/openclaw-security/bus/services/internal/bus"
)

// silentAfter is how long a sensor may say nothing before it is reported.
const silentAfter = time.Hour

// Bus is what this package needs of [bus.Conn].
type Bus interface {
	SecurityStreams(ctx context.Context) ([]string, error)
	MergedHistory(ctx context.Context, streams []string, filter string, start bus.Start) iter.Seq2[*bus.Stored, error]
	LastMessages(ctx context.Context, streams ...string) (map[string]*bus.Stored, error)
}

var _ Bus = (*bus.Conn)(nil)

// Auditor answers questions about LLM requests: [audit.Client]. An error means that
// a question has no answer in time, which is not waited for beyond that.
type Auditor interface {
	Status(ctx context.Context) (audit.Status, error)
	Report(ctx context.Context, by audit.By, f audit.Filter) (*audit.Report, error)
	Tools(ctx context.Context, f audit.Filter) ([]audit.ToolUse, error)
}

var _ Auditor = audit.Client{}

// Report is what happened in a span of time.
type Report struct {
	From, To time.Time

	Events       int // telemetry
	Alerts       proto.SeverityCounts
	Blocked      int // alerts about what a sensor has blocked
	Rules        Top // of the alerts
	Names        Top // asked of the DNS
	Destinations Top // connected to

	LLM    LLM
	Silent []Silent

	Undecodable int // messages that could not be read
}

// LLM sums up the requests to model providers that began in the span.
type LLM struct {
	audit.Row
	PricesOf string   // the date of the prices
	NoPrice  []string // models of which no price is known
	Tools    Top      // called

	Status audit.Status // of the auditor, when it was asked
	Err    error        // why there is nothing of the above
}

// Silent is a sensor from which nothing has come of late.
type Silent struct {
	Host, Source string
	Last         time.Time
}

// Make reads the streams of alerts and events and asks the auditor. It stops at an error of the
// bus: a report of half a day would look like a quiet one. An auditor that does not
// answer is part of the report.
func Make(ctx context.Context, b Bus, auditor Auditor, from, to time.Time) (*Report, error) {
	m := maker{r: &Report{From: from, To: to}}
	streams, err := b.SecurityStreams(ctx)
	if err != nil {
		return nil, err
	}
	for s, err := range b.MergedHistory(ctx, streams, proto.StoredPrefix+".>", bus.Start{Time: from}) {
		if err != nil {
			return nil, fmt.Errorf("reading alerts and events for the report: %w", err)
		}
		if s.Time.After(to) {
			break
		}
		if m.event(s) != nil {
			m.r.Undecodable++
		}
	}
	last, err := b.LastMessages(ctx, streams...)
	if err != nil {
		return nil, fmt.Errorf("asking for the sensors: %w", err)
	}
	m.silent(last)
	if m.r.LLM, err = requests(ctx, auditor, audit.Filter{Since: from, Until: to}); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		m.r.LLM = LLM{Err: err}
	}
	return m.r, nil
}

// requests asks the auditor for all that a report says of LLM requests.
func requests(ctx context.Context, auditor Auditor, f audit.Filter) (l LLM, err error) {
	if l.Status, err = auditor.Status(ctx); err != nil {
		return l, err
	}
	r, err := auditor.Report(ctx, audit.ByClient, f)
	if err != nil {
		return l, err
	}
	l.Row, l.PricesOf, l.NoPrice = r.Total, r.PricesOf, r.Unpriced
	uses, err := auditor.Tools(ctx, f)
	for _, u := range uses {
		l.Tools.Add(u.Tool, int(u.Calls))
	}
	return l, err
}

type maker struct{ r *Report }

// fields are what a report needs of an event.
type fields struct {
	Title  string          `json:"title"`
	Action string          `json:"action"`
	DNS    *proto.DNS      `json:"dns"`
	TLS    *proto.TLS      `json:"tls"`
	Dst    *proto.Endpoint `json:"dst"`

	Network *proto.Network `json:"network"`
}

func (m *maker) event(s *bus.Stored) error {
	subject, err := proto.ParseSubject(s.Subject)
	if err != nil {
		return err
	}
	var f fields
	if subject.Class == proto.ClassEvent {
		m.r.Events++
		switch subject.Kind {
		case "dns", "net_packet_dns", "tls", "flow", "security_socket_connect":
		default:
			return nil
		}
	}
	if err := json.Unmarshal(s.Data, &f); err != nil {
		return err
	}
	if subject.Class == proto.ClassAlert {
		m.r.Rules.Add(f.Title, 1)
		m.severity(subject.Severity)
		if f.Action == "blocked" || f.Action == "drop" {
			m.r.Blocked++
		}
		return nil
	}
	switch {
	case f.DNS != nil:
		if f.DNS.Type != "answer" { // the question was counted
			for _, name := range f.DNS.Names {
				m.r.Names.Add(name, 1)
			}
		}
	case f.TLS != nil && f.TLS.SNI != "":
		m.r.Destinations.Add(f.TLS.SNI, 1)
	case f.Network != nil && f.Network.AppProtocol == "tls":
		// Its handshake, which has the name, is an event of its own.
	case f.Dst != nil && subject.Kind != "tls":
		if to := cmp.Or(f.Dst.Hostname, f.Dst.IP); to != "" {
			m.r.Destinations.Add(to, 1)
		}
	}
	return nil
}

func (m *maker) severity(s proto.Severity) {
	c := &m.r.Alerts
	switch s {
	case proto.SeverityCritical:
		c.Critical++
	case proto.SeverityHigh:
		c.High++
	case proto.SeverityMedium:
		c.Medium++
	default:
		c.Low++
	}
}

// silent lists sensors; the bus's own services speak only when there is reason.
func (m *maker) silent(last map[string]*bus.Stored) {
	for _, s := range last {
		subject, err := proto.ParseSubject(s.Subject)
		own := err == nil && slices.Contains([]string{bus.RoleProxy, bus.RoleAuditor, bus.RoleNotifier}, subject.Source)
		if err != nil || own || m.r.To.Sub(s.Time) < silentAfter {
			continue
		}
		m.r.Silent = append(m.r.Silent, Silent{subject.Host, subject.Source, s.Time})
	}
	slices.SortFunc(m.r.Silent, func(a, b Silent) int {
		return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.Source, b.Source))
	})
}
