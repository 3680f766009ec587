package doctor

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/check"
	"github.com/openclaw-security/bus/services/internal/kv"
	"github.com/openclaw-security/bus/services/internal/progress"
)

// readyReply is what a service answers on /readyz?format=json.
type readyReply struct {
	Ready      *bool `json:"ready"`
	Conditions []struct {
		Name   string `json:"name"`
		Ready  bool   `json:"ready"`
		Reason string `json:"reason"`
	} `json:"conditions"`
}

// readiness asks every service whether it can do its work.
func (c *checkup) readiness(ctx context.Context) []check.Finding {
	found := make([]check.List, len(c.Ready))
	var questions sync.WaitGroup
	for i, at := range c.Ready {
		questions.Go(func() {
			found[i].Hop = "service"
			judgeReadiness(ctx, &found[i], at)
		})
	}
	questions.Wait()
	var all []check.Finding
	for _, f := range found {
		all = slices.Concat(all, f.All)
	}
	return all
}

func judgeReadiness(ctx context.Context, f *check.List, at check.Endpoint) {
	var r readyReply
	if err := check.GetJSON(ctx, at.URL+"/readyz?format=json", &r); err != nil {
		if at.Assumed {
			f.Add(at.Name, check.Warning, "%s does not tell whether it is ready: %v; if it serves ADMIN_ADDR elsewhere, say so with --admin", at.URL, err)
			return
		}
		f.Add(at.Name, check.Fault, "%s does not tell whether it is ready: %v; is it running?", at.URL, err)
		return
	}
	if r.Ready == nil {
		f.Add(at.Name, check.Warning, "what answers at %s is no service of the bus", at.URL)
		return
	}
	for _, condition := range r.Conditions {
		if !condition.Ready {
			f.Add(at.Name, check.Fault, "%s is not ready: %s", check.Quote(condition.Name), condition.Reason)
		}
	}
	switch {
	case *r.Ready:
		f.Add(at.Name, check.Good, "ready: %d conditions hold", len(r.Conditions))
	case len(f.All) == 0:
		f.Add(at.Name, check.Fault, "not ready, and it does not say why")
	}
}

// heartbeats says of each source when it reported last, and of the rest of the bus which
// alarms of the notifier stand.
func (c *checkup) heartbeats(ctx context.Context) []check.Finding {
	f := check.List{Hop: "service"}
	if !c.bus.Has(proto.StreamState) {
		return nil
	}
	beats, err := progress.Beats(ctx, c.bus.Conn)
	if err != nil {
		f.Unreadable("heartbeats", err)
		return f.All
	}
	bad := progress.Sources(progress.State{Now: c.bus.Now(), Beats: beats}, time.Time{}, progress.Late)
	for _, b := range beats {
		well := true
		for _, a := range bad {
			if a.Subject == b.Name() {
				f.Add(b.Name(), check.Fault, "%s", a.Text)
				well = false
			}
		}
		if well {
			f.Add(b.Name(), check.Good, "it reported %s ago that it is alive and can publish", check.Span(c.bus.Now().Sub(b.Stored)))
		}
	}
	standing, _, err := kv.Load[map[string]progress.Alarm](ctx, c.bus.Conn, proto.KeyAlarms)
	if err != nil {
		f.Unreadable("alarms of the notifier", err)
		return f.All
	}
	for _, id := range slices.Sorted(maps.Keys(standing)) {
		a := standing[id]
		if !progress.OfSource(a.Condition) {
			f.Add(a.Subject, check.Warning, "an alarm of the notifier stands since %s ago: %s", check.Span(c.bus.Now().Sub(a.Since)), a.Text)
		}
	}
	return f.All
}
