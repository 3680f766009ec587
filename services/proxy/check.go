package proxy

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/check"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/service"
)

// proxyHealth is what the proxy answers on /health.
type proxyHealth struct {
	Status       string `json:"status"`
	GuardEnabled *bool  `json:"guard_enabled"`
	APIBase      string `json:"llm_api_base"`
}

// Checks are the settings of the proxy's own check.
type Checks struct {
	Addr string `env:"DOCTOR_PROXY" doc:"Where secbus doctor finds the LLM proxy, as host:port. Unset means PROXY_ADDR if it looks at the embedded bus, else nowhere."`
}

// checkup says what became of the last request, and whether the proxy serves and
// has its keys.
func checkup(ctx context.Context, c service.Checkup) []check.Finding {
	f := check.List{Hop: "proxy"}
	lastRequest(ctx, &f, c.Bus)
	var at *check.Endpoint
	if addr := config.Lookup(c.Environ, "DOCTOR_PROXY"); addr != "" {
		named, err := check.ParseEndpoint("DOCTOR_PROXY", addr)
		if err != nil {
			f.Add("health", check.Fault, "%v", err)
			return f.All
		}
		at = &named
	}
	if c.Embedded {
		var cfg Config
		if err := config.Load(&cfg, embedEnviron(c.Deployment)); err != nil {
			return f.All // the settings have been refused before
		}
		if at == nil {
			at = check.Assume("proxy", cfg.Addr)
		}
		if cfg.Addr != "" {
			checkKeys(&f, cfg.LLM.Endpoints())
		}
	}
	if at != nil {
		checkHealth(ctx, &f, *at)
	}
	return f.All
}

// lastRequest reports the newest record of a request, and why it was refused if
// it was: a proxy without a key says so there.
func lastRequest(ctx context.Context, f *check.List, b *check.Bus) {
	if !b.Has(proto.StreamAudit) {
		return
	}
	m, err := b.Conn.Last(ctx, proto.StreamAudit, proto.StoredPrefix+"."+string(proto.ClassAudit)+".>")
	if err != nil {
		f.Unreadable("last request", err)
		return
	}
	if m == nil {
		f.Add("last request", check.Good, "none yet; docs/proxy.md says how to have the agent use the proxy")
		return
	}
	var a proto.Audit
	if err := json.Unmarshal(m.Data, &a); err != nil {
		f.Add("last request", check.Warning, "its record cannot be read: %v", err)
		return
	}
	text := fmt.Sprintf("recorded %s ago", check.Span(b.Age(m)))
	if a.Decision != "" {
		text += fmt.Sprintf(", %s", check.Quote(string(a.Decision)))
	}
	if a.Decision == proto.DecisionRefused || a.Decision == proto.DecisionFailed {
		f.Add("last request", check.Warning, "%s: %s", text, check.Quote(a.Reason))
		return
	}
	f.Add("last request", check.Good, "%s", text)
}

// checkKeys says which providers refuse requests because they have no key.
func checkKeys(f *check.List, endpoints []LLMEndpoint) {
	for _, e := range endpoints {
		if e.NeedsKey && e.Key.IsZero() {
			f.Add(e.Label(), check.Warning, "%s is not set, so that the proxy refuses requests to %s", e.KeySetting, check.Quote(e.Base))
		}
	}
}

func checkHealth(ctx context.Context, f *check.List, at check.Endpoint) {
	var h proxyHealth
	if err := check.GetJSON(ctx, at.URL+"/health", &h); err != nil {
		if at.Assumed {
			f.Add("health", check.Warning, "%s does not answer: %v; if the proxy serves elsewhere, say so with DOCTOR_PROXY", at.URL, err)
			return
		}
		f.Add("health", check.Fault, "%s does not answer: %v; is the proxy running? Until it does, the agent has no model", at.URL, err)
		return
	}
	if h.GuardEnabled == nil {
		f.Add("health", check.Fault, "what answers at %s is not the proxy", at.URL)
		return
	}
	guard := "no guard"
	if *h.GuardEnabled {
		guard = "guard enabled"
	}
	text := fmt.Sprintf("%s, forwards to %s, %s", check.Quote(h.Status), check.Quote(h.APIBase), guard)
	if h.Status != "healthy" {
		f.Add("health", check.Fault, "%s: its log says why", text)
		return
	}
	f.Add("health", check.Good, "%s", text)
}
