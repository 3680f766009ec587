package proxy

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/daemon"
	"github.com/openclaw-security/bus/services/proxy/internal/spool"
	"github.com/openclaw-security/bus/services/testing/bustest"
	"github.com/openclaw-security/bus/services/testing/llmtest"
)

// rig is a proxy before a stand-in for the provider, with a bus.
type rig struct {
	t        *testing.T
	bus      *bustest.Bus
	provider *llmtest.Server
	cfg      Config
	proxy    *proxy
	url      string
}

// newRig starts a proxy; change may alter its settings first.
func newRig(t *testing.T, change func(*Config)) *rig {
	t.Helper()
	return newRigOn(t, bustest.Start(t), change)
}

// newRigOn starts a proxy on a bus.
func newRigOn(t *testing.T, b *bustest.Bus, change func(*Config)) *rig {
	t.Helper()
	r := &rig{t: t, bus: b, provider: llmtest.New(llmtest.Config{})}
	base := r.provider.Start(t)
	environ := []string{
		"LLM_API_BASE=" + base, "LLM_API_KEY=" + llmtest.Key,
		"LLM_OPENAI_API_BASE=" + base, "LLM_OPENAI_API_KEY=" + llmtest.Key,
		"LLM_GEMINI_API_BASE=" + base, "LLM_GEMINI_API_KEY=" + llmtest.Key,
		"OPENCLAW_HOST=" + bustest.Host, "NATS_URL=" + r.bus.URL(),
		"NATS_NKEY_SEED=" + r.bus.Seed(t, Role),
		"PROXY_AUDIT_DIR=" + filepath.Join(t.TempDir(), "audit"),
	}
	if err := config.Load(&r.cfg, environ); err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(&r.cfg)
	}
	p, err := newProxy(r.cfg, daemon.Discard())
	if err != nil {
		t.Fatal(err)
	}
	r.proxy = p
	server := httptest.NewServer(p)
	r.url = server.URL
	ctx, stop := context.WithCancel(context.Background())
	published := make(chan error, 1)
	go func() { published <- p.publish(ctx, daemon.Discard()) }()
	t.Cleanup(func() {
		server.Close()
		stop()
		if err := <-published; err != nil {
			t.Errorf("publishing: %v", err)
		}
		p.close()
	})
	return r
}

// message is a Messages request whose user says text.
func message(stream bool, text string) string {
	body, err := json.Marshal(map[string]any{
		"model": "claude-sonnet-4-5", "max_tokens": 1024, "stream": stream,
		"messages": []map[string]string{{"role": "user", "content": text}},
	})
	if err != nil {
		panic(err)
	}
	return string(body)
}

// answered is what a client got.
type answered struct {
	status int
	header http.Header
	body   string
	err    error // of reading the body
}

// post sends a request as OpenClaw does.
func (r *rig) post(path, body string, header ...string) answered {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, r.url+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Anthropic-Version", "2023-06-01")
	request.Header.Set("X-Api-Key", "the-caller-has-no-key")
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	return r.do(request)
}

func (r *rig) do(request *http.Request) answered {
	r.t.Helper()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return answered{response.StatusCode, response.Header, string(body), err}
}

// stored returns what a stream holds of the proxy, once it holds n messages.
func (r *rig) stored(stream string, n int) []*bus.Stored {
	r.t.Helper()
	tail := r.bus.Conn(r.t, bus.RoleTail)
	var all []*bus.Stored
	bustest.Eventually(r.t, fmt.Sprintf("%d messages in %s", n, stream), func() bool {
		all = all[:0]
		for s, err := range tail.History(r.t.Context(), stream, proto.StoredPrefix+".>", bus.Start{}) {
			if err != nil {
				r.t.Fatal(err)
			}
			all = append(all, s)
		}
		return len(all) >= n
	})
	if len(all) != n {
		r.t.Errorf("%d messages in %s, want %d", len(all), stream, n)
	}
	return all
}

// audits returns the audit records, once there are n.
func (r *rig) audits(n int) []proto.Audit {
	r.t.Helper()
	var records []proto.Audit
	for _, s := range r.stored(proto.StreamAudit, n) {
		var a proto.Audit
		d := json.NewDecoder(bytes.NewReader(s.Data))
		d.DisallowUnknownFields()
		if err := d.Decode(&a); err != nil {
			r.t.Fatal(err)
		}
		if bytes.Contains(s.Data, []byte(llmtest.Key)) {
			r.t.Errorf("the key is in a record: %s", s.Data)
		}
		records = append(records, a)
	}
	return records
}

// alerts returns the alerts, once there are n.
func (r *rig) alerts(n int) []proto.Event {
	r.t.Helper()
	var events []proto.Event
	for _, s := range r.stored(proto.AlertsStream(source), n) {
		var e proto.Event
		if err := json.Unmarshal(s.Data, &e); err != nil {
			r.t.Fatal(err)
		}
		if bytes.Contains(s.Data, []byte(llmtest.Key)) {
			r.t.Errorf("the key is in an alert: %s", s.Data)
		}
		events = append(events, e)
	}
	return events
}

// noRoom has the proxy find no room for records.
func (r *rig) noRoom() { r.proxy.records.spool = full{} }

type full struct{}

func (full) AppendAudit(*proto.Audit) error { return spool.ErrFull }
func (full) AppendAlert(*proto.Event) error { return spool.ErrFull }
