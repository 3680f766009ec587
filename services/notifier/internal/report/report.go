// Package report sums up a day from the streams.
//
//	SECURITY ────────▶ alerts by rule, DNS names, destinations ─┐
//	SECURITY_AUDIT ──▶ LLM requests, tokens, cost ──────────────┼─▶ Report ─▶ Text
//	last messages ───▶ sensors that fell silent ────────────────┘
//
// Nothing is kept between reports: what is counted is what is stored.
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
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/price"
)

// silentAfter is how long a sensor may say nothing before it is reported.
const silentAfter = time.Hour

// Bus is what this package needs of [bus.Conn].
type Bus interface {
	History(ctx context.Context, stream, filter string, start bus.Start) iter.Seq2[*bus.Stored, error]
	LastMessages(ctx context.Context, stream string) (map[string]*bus.Stored, error)
}

var _ Bus = (*bus.Conn)(nil)

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

// LLM sums up the requests to model providers.
type LLM struct {
	Requests    int // that came to an end, whatever it was
	Blocked     int
	Refused     int
	Failed      int
	Interrupted int // without an end
	Usage       proto.Usage
	Incomplete  int     // requests whose tokens were not counted to the end
	Cost        float64 // US dollars, of the models that have a price
	Unpriced    Top     // requests of models that have none
	Tools       Top     // called
}

// Silent is a sensor from which nothing has come of late.
type Silent struct {
	Host, Source string
	Last         time.Time
}

// Make reads the streams. It stops at an error of the bus: a report of half a
// day would look like a quiet one.
func Make(ctx context.Context, b Bus, prices *price.Table, from, to time.Time) (*Report, error) {
	m := maker{r: &Report{From: from, To: to}, prices: prices, open: make(map[string]bool)}
	for _, stream := range []struct {
		name string
		take func(*bus.Stored) error
	}{{proto.StreamSecurity, m.event}, {proto.StreamAudit, m.audit}} {
		for s, err := range b.History(ctx, stream.name, proto.StoredPrefix+".>", bus.Start{Time: from}) {
			if err != nil {
				return nil, fmt.Errorf("reading %s for the report: %w", stream.name, err)
			}
			if s.Time.After(to) {
				break
			}
			if stream.take(s) != nil {
				m.r.Undecodable++
			}
		}
	}
	m.r.LLM.Interrupted = len(m.open)
	last, err := b.LastMessages(ctx, proto.StreamSecurity)
	if err != nil {
		return nil, fmt.Errorf("asking for the sensors: %w", err)
	}
	m.silent(last)
	return m.r, nil
}

type maker struct {
	r      *Report
	prices *price.Table
	open   map[string]bool // LLM requests that have begun
}

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
		m.r.Rules.Add(f.Title)
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
				m.r.Names.Add(name)
			}
		}
	case f.TLS != nil && f.TLS.SNI != "":
		m.r.Destinations.Add(f.TLS.SNI)
	case f.Network != nil && f.Network.AppProtocol == "tls":
		// Its handshake, which has the name, is an event of its own.
	case f.Dst != nil && subject.Kind != "tls":
		if to := cmp.Or(f.Dst.Hostname, f.Dst.IP); to != "" {
			m.r.Destinations.Add(to)
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

func (m *maker) audit(s *bus.Stored) error {
	var a proto.Audit
	if err := json.Unmarshal(s.Data, &a); err != nil {
		return err
	}
	if a.Phase == proto.PhaseStart {
		m.open[a.RequestID] = true
		return nil
	}
	delete(m.open, a.RequestID)
	l := &m.r.LLM
	l.Requests++
	switch a.Decision {
	case proto.DecisionBlocked:
		l.Blocked++
	case proto.DecisionRefused:
		l.Refused++
	case proto.DecisionFailed:
		l.Failed++
	}
	for _, call := range a.ToolCalls {
		l.Tools.Add(call.Name)
	}
	if a.Usage == nil {
		return nil
	}
	l.Usage.Input += a.Usage.Input
	l.Usage.Output += a.Usage.Output
	l.Usage.CacheRead += a.Usage.CacheRead
	l.Usage.CacheCreation += a.Usage.CacheCreation
	l.Usage.Reasoning += a.Usage.Reasoning
	if !a.Usage.Complete {
		l.Incomplete++
	}
	model := cmp.Or(a.ResponseModel, a.RequestModel)
	cost, known := m.prices.Cost(model, *a.Usage)
	if !known {
		cost, known = m.prices.Cost(a.RequestModel, *a.Usage)
	}
	if known {
		l.Cost += cost
	} else {
		l.Unpriced.Add(cmp.Or(model, "unnamed"))
	}
	return nil
}

// silent lists sensors; the bus's own services speak only when there is reason.
func (m *maker) silent(last map[string]*bus.Stored) {
	for _, s := range last {
		subject, err := proto.ParseSubject(s.Subject)
		own := err == nil && (subject.Source == bus.RoleProxy || subject.Source == bus.RoleAuditor)
		if err != nil || own || m.r.To.Sub(s.Time) < silentAfter {
			continue
		}
		m.r.Silent = append(m.r.Silent, Silent{subject.Host, subject.Source, s.Time})
	}
	slices.SortFunc(m.r.Silent, func(a, b Silent) int {
		return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.Source, b.Source))
	})
}
