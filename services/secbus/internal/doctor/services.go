package doctor

import (
	"context"
	"slices"
	"sync"
)

// readiness is what a service answers on /readyz?format=json.
type readiness struct {
	Ready      *bool `json:"ready"`
	Conditions []struct {
		Name   string `json:"name"`
		Ready  bool   `json:"ready"`
		Reason string `json:"reason"`
	} `json:"conditions"`
}

// services asks every service whether it can do its work.
func (c *checkup) services(ctx context.Context) []Finding {
	found := make([]findings, len(c.Services))
	var questions sync.WaitGroup
	for i, at := range c.Services {
		questions.Go(func() {
			found[i].hop = "service"
			judgeReadiness(ctx, &found[i], at)
		})
	}
	questions.Wait()
	var all []Finding
	for _, f := range found {
		all = slices.Concat(all, f.all)
	}
	return all
}

func judgeReadiness(ctx context.Context, f *findings, at Endpoint) {
	var r readiness
	if err := getJSON(ctx, at.URL+"/readyz?format=json", &r); err != nil {
		if at.Assumed {
			f.add(at.Name, Warning, "%s does not tell whether it is ready: %v; if it serves ADMIN_ADDR elsewhere, say so with --admin", at.URL, err)
			return
		}
		f.add(at.Name, Fault, "%s does not tell whether it is ready: %v; is it running?", at.URL, err)
		return
	}
	if r.Ready == nil {
		f.add(at.Name, Warning, "what answers at %s is no service of the bus", at.URL)
		return
	}
	for _, condition := range r.Conditions {
		if !condition.Ready {
			f.add(at.Name, Fault, "%s is not ready: %s", quote(condition.Name), condition.Reason)
		}
	}
	switch {
	case *r.Ready:
		f.add(at.Name, Good, "ready: %d conditions hold", len(r.Conditions))
	case len(f.all) == 0:
		f.add(at.Name, Fault, "not ready, and it does not say why")
	}
}
