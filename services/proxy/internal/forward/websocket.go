package forward

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httputil"
	"strings"
	"time"

	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

// webSocketRoutes are what is served over WebSocket where that is allowed.
//
// Source: https://platform.openai.com/docs/api-reference/realtime.
var webSocketRoutes = map[llmapi.Provider][]row{
	llmapi.OpenAI: {{text: "GET /v1/realtime?model&intent&call_id", route: Route{WebSocket: true}}},
}

// AllowWebSocket adds the routes that are served over WebSocket. The
// messages of a WebSocket are neither inspected nor held.
func (t *Table) AllowWebSocket() error {
	for _, s := range t.services {
		for _, r := range webSocketRoutes[s.Provider] {
			if err := t.add(s, r); err != nil {
				return err
			}
		}
	}
	return nil
}

// isWebSocket reports whether a request asks for a WebSocket and nothing else.
func isWebSocket(h http.Header) bool {
	upgrade := h["Upgrade"]
	return len(upgrade) == 1 && strings.EqualFold(upgrade[0], "websocket")
}

// Tunnel connects the client to the provider over WebSocket until one of them
// closes. The Outcome counts no bytes.
func (u *Upstream) Tunnel(w http.ResponseWriter, r *http.Request, route Route) Outcome {
	start := time.Now()
	var outcome Outcome
	tunnel := &httputil.ReverseProxy{
		Transport: u.transport,
		Rewrite: func(p *httputil.ProxyRequest) {
			header := requestHeader(p.In.Header)
			for _, name := range []string{"Sec-Websocket-Key", "Sec-Websocket-Version", "Sec-Websocket-Extensions"} {
				if values, ok := p.In.Header[name]; ok {
					header[name] = values
				}
			}
			if protocols := subprotocols(p.In.Header); protocols != "" {
				header.Set("Sec-Websocket-Protocol", protocols)
			}
			u.authenticate(header)
			// ReverseProxy has put these into the request that goes out, for the
			// upgrade that it has recognized.
			header["Connection"], header["Upgrade"] = p.Out.Header["Connection"], p.Out.Header["Upgrade"]
			p.Out.URL, p.Out.Host, p.Out.Header = u.target(route), u.base.Host, header
		},
		ModifyResponse: func(response *http.Response) error {
			outcome.Upstream = response.StatusCode
			if response.StatusCode != http.StatusSwitchingProtocols {
				return fmt.Errorf("the provider answers %d in place of a WebSocket", response.StatusCode)
			}
			responseHeader(response.Header)
			response.Header["Connection"], response.Header["Upgrade"] = []string{"Upgrade"}, []string{"websocket"}
			outcome.Status = http.StatusSwitchingProtocols
			outcome.FirstByte = time.Since(start)
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			failed := roundTripFailure(r.Context(), err)
			if outcome.Upstream != 0 {
				failed = &failure{UpstreamBroken, err, llmapi.Error{Status: http.StatusBadGateway, Message: "the provider opens no WebSocket"}}
			}
			outcome.Status, outcome.End = failed.answer.Status, failed.end
			outcome.Err = &redactedError{failed.err, string(u.secrets.redact([]byte(failed.err.Error())))}
			if failed.answer.Status != 0 {
				failed.answer.Write(w, u.provider, nil)
			}
		},
	}
	defer func() {
		// It panics when the client goes before the answer; nothing more
		// can be sent, and the outcome is to be recorded.
		if p := recover(); p != nil {
			if err, ok := p.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
				panic(p)
			}
		}
	}()
	tunnel.ServeHTTP(w, r)
	outcome.Duration = time.Since(start)
	return outcome
}

// subprotocols are those that the caller offers, without the ones by which
// browsers send a key.
func subprotocols(h http.Header) string {
	var kept []string
	for _, value := range h["Sec-Websocket-Protocol"] {
		for protocol := range strings.SplitSeq(value, ",") {
			if protocol = strings.TrimSpace(protocol); protocol == "realtime" || strings.HasPrefix(protocol, "openai-beta.") {
				kept = append(kept, protocol)
			}
		}
	}
	return strings.Join(kept, ", ")
}
