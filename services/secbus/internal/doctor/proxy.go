package doctor

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/openclaw-security/bus/proto"
)

// proxyHealth is what the proxy answers on /health.
type proxyHealth struct {
	Status       string `json:"status"`
	GuardEnabled *bool  `json:"guard_enabled"`
	APIBase      string `json:"llm_api_base"`
}

// proxy says whether the LLM proxy serves, has its keys, and keeps a record.
func (c *checkup) proxy(ctx context.Context) []Finding {
	f := findings{hop: "proxy"}
	if c.Proxy != nil {
		judgeProxy(ctx, &f, *c.Proxy)
	}
	for _, e := range c.Providers {
		if e.NeedsKey && e.Key.IsZero() {
			f.add(e.Provider, Warning, "%s is not set, so that the proxy refuses requests to %s", e.KeySetting, quote(e.Base))
		}
	}
	if c.bus != nil && c.bus.stream(proto.StreamAudit).Err == nil {
		c.lastRequest(ctx, &f)
	}
	return f.all
}

func judgeProxy(ctx context.Context, f *findings, at Endpoint) {
	var h proxyHealth
	if err := getJSON(ctx, at.URL+"/health", &h); err != nil {
		if at.Assumed {
			f.add("health", Warning, "%s does not answer: %v; if the proxy serves elsewhere, say so with --proxy", at.URL, err)
			return
		}
		f.add("health", Fault, "%s does not answer: %v; is the proxy running? Until it does, the agent has no model", at.URL, err)
		return
	}
	if h.GuardEnabled == nil {
		f.add("health", Fault, "what answers at %s is not the proxy", at.URL)
		return
	}
	guard := "no guard"
	if *h.GuardEnabled {
		guard = "guard enabled"
	}
	text := fmt.Sprintf("%s, forwards to %s, %s", quote(h.Status), quote(h.APIBase), guard)
	if h.Status != "healthy" {
		f.add("health", Fault, "%s: its log says why", text)
		return
	}
	f.add("health", Good, "%s", text)
}

// lastRequest tells of the newest record of a request, and of why it was refused
// if it was: a proxy without a key says so there.
func (c *checkup) lastRequest(ctx context.Context, f *findings) {
	m, err := c.Conn.Last(ctx, proto.StreamAudit, proto.StoredPrefix+"."+string(proto.ClassAudit)+".>")
	if err != nil {
		f.unreadable("last request", err)
		return
	}
	if m == nil {
		f.add("last request", Good, "none yet; docs/proxy.md says how to have the agent use the proxy")
		return
	}
	var a proto.Audit
	if err := json.Unmarshal(m.Data, &a); err != nil {
		f.add("last request", Warning, "its record cannot be read: %v", err)
		return
	}
	text := fmt.Sprintf("recorded %s ago", span(c.bus.age(m)))
	if a.Decision != "" {
		text += fmt.Sprintf(", %s", quote(string(a.Decision)))
	}
	if a.Decision == proto.DecisionRefused || a.Decision == proto.DecisionFailed {
		f.add("last request", Warning, "%s: %s", text, quote(a.Reason))
		return
	}
	f.add("last request", Good, "%s", text)
}
