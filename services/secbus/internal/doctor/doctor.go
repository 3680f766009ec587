// Package doctor follows the way of an alert from the sensor to its owner and
// says of each hop how it stands:
//
//	sensor ─▶ clock ─▶ service ─▶ server ─▶ stream ─▶ retention ─▶ disk ─┐
//	                                                                     │
//	          chat ◀─ audit ◀─ proxy ◀─ delivery ◀─ consumer ◀───────────┘
//
// It only reads: the bus as the operator, the readiness of services, the
// proxy's health, the space on disks, and how the chats are set up. The hops are
// looked at side by side, each for a few seconds at most; what was found is told
// in the order of the way.
package doctor

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/config"
)

const (
	hopTimeout  = 5 * time.Second
	chatTimeout = 15 * time.Second // several requests to each chat's server
)

// Options say what to look at. What is zero is left out.
type Options struct {
	Conn      *bus.Conn  // as the operator
	Sources   []string   // that the bus should have
	RulesFile string     // Suricata's rules, if their file can be seen from here
	Services  []Endpoint // that tell whether they are ready
	Proxy     *Endpoint  // the LLM proxy
	Providers []config.LLMEndpoint
	Disks     []string // directories; the first is the one with the streams
	// Chats looks at where alerts go in the end.
	Chats func(context.Context) []Finding
}

// Endpoint is something that answers over HTTP.
type Endpoint struct {
	Name string
	URL  string // without a path
	// Assumed says that nobody named the address: if nothing answers there, that
	// may be the reason.
	Assumed bool
}

// Check looks at everything and returns what it has found.
func Check(ctx context.Context, o Options) []Finding {
	c := &checkup{Options: o}
	first := c.look(ctx)
	hops := []struct {
		check   func(context.Context) []Finding
		onBus   bool
		timeout time.Duration
	}{
		{c.sensors, true, hopTimeout},
		{c.clocks, true, hopTimeout},
		{c.services, false, hopTimeout},
		{c.server, true, hopTimeout},
		{c.streams, true, hopTimeout},
		{c.retention, true, hopTimeout},
		{c.disks, false, hopTimeout},
		{c.consumers, true, hopTimeout},
		{c.delivery, true, hopTimeout},
		{c.proxy, false, hopTimeout},
		{c.audit, true, hopTimeout},
		{c.Chats, false, chatTimeout},
	}
	found := make([][]Finding, len(hops))
	var checks sync.WaitGroup
	for i, hop := range hops {
		if hop.check == nil || hop.onBus && c.bus == nil {
			continue
		}
		checks.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, hop.timeout)
			defer cancel()
			found[i] = hop.check(ctx)
		})
	}
	checks.Wait()
	return append(first, slices.Concat(found...)...)
}

// checkup is one run of Check.
type checkup struct {
	Options
	bus *view // nil if the bus cannot be asked
}
