package proxy

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/proxy/internal/audit"
	"github.com/openclaw-security/bus/services/proxy/internal/forward"
	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

// ServeHTTP serves one request.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet && r.URL.Path == "/health" {
		p.health(w)
		return
	}
	p.metrics.inFlight.Inc()
	defer p.metrics.inFlight.Dec()
	x := p.begin(w, r)

	client, refused := p.admission.Admit(r)
	if client != "" {
		x.record.Client = client
	}
	route, noRoute := p.routes.Match(r)
	x.route = route
	for _, e := range []*llmapi.Error{refused, noRoute} {
		if e != nil {
			x.refuse(proto.DecisionRefused, *e)
			return
		}
	}
	x.endpoint = p.endpoint(route.Provider)
	if x.endpoint.NeedsKey && x.endpoint.Key.IsZero() {
		x.refuse(proto.DecisionRefused, llmapi.Error{
			Status:  http.StatusUnauthorized,
			Message: fmt.Sprintf("the security proxy has no key for %s: set %s, or %s_FILE, where it runs", x.endpoint.Provider, x.endpoint.KeySetting, x.endpoint.KeySetting),
		})
		return
	}

	// What a body may weigh is reserved before it is read: many large ones at
	// once would otherwise take all memory.
	weight := p.cfg.MaxBody
	if r.ContentLength >= 0 && r.Header.Get("Content-Encoding") == "" {
		weight = min(r.ContentLength, weight)
	}
	if p.bodies.Acquire(r.Context(), weight) != nil {
		return // the client has gone
	}
	defer p.bodies.Release(weight)
	if x.body, refused = forward.ReadBody(w, r, p.cfg.MaxBody); refused != nil {
		x.refuse(proto.DecisionRefused, *refused)
		return
	}
	x.record.RequestBytes = int64(len(x.body))
	if err := x.inspect(); err != nil {
		x.refuse(proto.DecisionRefused, llmapi.Error{Status: http.StatusBadRequest, Message: err.Error()})
		return
	}
	if err := x.judgeRequest(r.Context()); err != nil {
		x.record.Reason = clip(reason(err))
		x.refuse(proto.DecisionBlocked, refusal(err))
		return
	}
	if err := x.start(); err != nil && p.cfg.AuditFull == fullRefuse {
		x.refuse(proto.DecisionRefused, unrecorded(err))
		return
	}
	x.forward()
}

// unrecorded is the answer to a request of which no record can be kept.
func unrecorded(err error) llmapi.Error {
	message := "the security proxy cannot record requests and is set to refuse them then (PROXY_AUDIT_FULL)"
	if errors.Is(err, audit.ErrFull) {
		message = "the security proxy has no room left for records, because NATS takes none, and is set to refuse requests then (PROXY_AUDIT_FULL)"
	}
	return llmapi.Error{Status: http.StatusServiceUnavailable, Message: message}
}

// health answers with the three keys that are promised, and no more.
func (p *proxy) health(w http.ResponseWriter) {
	body, err := json.Marshal(struct {
		Status       string `json:"status"`
		GuardEnabled bool   `json:"guard_enabled"`
		APIBase      string `json:"llm_api_base"`
	}{"healthy", p.cfg.Guard.Enabled, p.endpoints[0].Base})
	if err != nil { // three plain values always can be encoded
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(body) // the only error is a client that has gone
}
