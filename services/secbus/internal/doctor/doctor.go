// Package doctor follows the way of an alert from the sensor to its owner and
// says of each hop how it stands:
//
//	sensor ─▶ clock ─▶ service ─▶ server ─▶ stream ─▶ retention ─▶ disk ─┐
//	                                                                     │
//	         a chat ◀─ audit ◀─ proxy ◀─ delivery ◀─ consumer ◀──────────┘
//
// It only reads. What belongs to no single service it checks itself: the bus, as
// the operator, the readiness of services, the space on disks. All else is each
// service's own check ([service.Spec]). The checks run side by side, each for a few
// seconds at most, and are reported in the order of the way.
package doctor

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/check"
	"github.com/openclaw-security/bus/services/internal/service"
)

const (
	hopTimeout     = 5 * time.Second
	serviceTimeout = 15 * time.Second // several requests to each chat's server
)

// hops are the hops in the order of the way; those that a service adds follow.
func hops() []string {
	return []string{"sensor", "clock", "service", "server", "stream", "retention", "disk", "consumer", "delivery", "proxy", "audit"}
}

// Options say what to look at. What is zero is left out.
type Options struct {
	Conn *bus.Conn // as the operator
	// Streams (beside those of package proto) and Durables are what the bus should
	// hold.
	Streams  []proto.Stream
	Durables []proto.Consumer

	Ready []check.Endpoint // services that tell whether they are ready
	Disks []string         // directories; the first is the one with the streams

	// Services is the table of which each service checks what is its own, by Checkup.
	Services []service.Spec
	Checkup  service.Checkup
}

// Check looks at everything and returns what it has found.
func Check(ctx context.Context, o Options) []check.Finding {
	c := &checkup{Options: o}
	first := c.look(ctx)
	type part struct {
		check   func(context.Context) []check.Finding
		onBus   bool
		timeout time.Duration
	}
	parts := []part{
		{c.clock, true, hopTimeout},
		{c.readiness, false, hopTimeout},
		{c.heartbeats, true, hopTimeout},
		{c.server, true, hopTimeout},
		{c.streams, true, hopTimeout},
		{c.retention, true, hopTimeout},
		{c.disks, false, hopTimeout},
		{c.consumers, true, hopTimeout},
		{c.deadLetters, true, hopTimeout},
	}
	own := o.Checkup
	own.Bus = c.bus
	for _, spec := range o.Services {
		own.Services = append(own.Services, spec.Name)
	}
	for _, spec := range o.Services {
		if spec.Check != nil {
			check := func(ctx context.Context) []check.Finding { return spec.Check(ctx, own) }
			parts = append(parts, part{check, false, serviceTimeout})
		}
	}
	found := make([][]check.Finding, len(parts))
	var checks sync.WaitGroup
	for i, p := range parts {
		if p.onBus && c.bus == nil {
			continue
		}
		checks.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, p.timeout)
			defer cancel()
			found[i] = p.check(ctx)
		})
	}
	checks.Wait()
	all := slices.Concat(found...)
	order := hops()
	place := func(f check.Finding) int {
		if i := slices.Index(order, f.Hop); i >= 0 {
			return i
		}
		return len(order)
	}
	slices.SortStableFunc(all, func(a, b check.Finding) int { return cmp.Compare(place(a), place(b)) })
	return append(first, all...)
}

// checkup is one run of Check.
type checkup struct {
	Options
	bus *check.Bus // nil if the bus cannot be asked
}

// look reads the bus. If that fails, it says so and leaves c.bus nil.
func (c *checkup) look(ctx context.Context) []check.Finding {
	if c.Conn == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, hopTimeout)
	defer cancel()
	b, err := check.ReadBus(ctx, c.Conn, c.Streams)
	if err != nil {
		f := check.List{Hop: "server"}
		f.Add("NATS", check.Fault, "the bus cannot be read: %v", err)
		return f.All
	}
	c.bus = b
	return nil
}
