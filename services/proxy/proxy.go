// Package proxy passes an agent's requests on to a model provider. It holds the
// only copy of the provider's key, stops what must not pass, and records each
// request.
//
//	client ─▶ admitted? ─▶ route ─▶ body ─▶ inspect ─▶ detect, guard ─▶ start record ─▶ forward ─▶ provider
//	             │           │        │        │            │                               │
//	             └─ refused ─┴────────┴────────┴─ blocked ──┘                               ▼
//	client ◀────────── text at once, a tool call once it has been judged ◀────────────── answer
//	                                         │
//	                                         └─▶ final record, alerts ─▶ spool on disk ─▶ SECURITY_AUDIT, SECURITY
//
// The bytes that are inspected are the bytes that are forwarded. What reaches
// the provider has a record before it does: a request without a final one was
// interrupted. Records wait on disk for NATS; no request waits for it.
package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/daemon"
	"github.com/openclaw-security/bus/services/internal/publish"
	"github.com/openclaw-security/bus/services/proxy/internal/audit"
	"github.com/openclaw-security/bus/services/proxy/internal/detect"
	"github.com/openclaw-security/bus/services/proxy/internal/forward"
	"github.com/openclaw-security/bus/services/proxy/internal/guard"
	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

// Role is the identity that the proxy connects as; source is its name on the bus.
const (
	Role   = bus.RoleProxy
	source = audit.Source
)

const (
	stopGrace    = 5 * time.Second  // for open requests when the proxy is told to stop
	busRetry     = 10 * time.Second // after the bus has refused for good: somebody may provision it
	readHeader   = 10 * time.Second
	idleClient   = 2 * time.Minute
	maxHeader    = 64 << 10
	bodiesInHand = 256 << 20 // bytes of request bodies held at a time
)

// endpoint is a provider that is configured.
type endpoint struct {
	config.LLMEndpoint
	upstream *forward.Upstream
	address  string
	port     int
}

// proxy is the handler of all requests and what it works with.
type proxy struct {
	cfg       Config
	host      string
	endpoints []*endpoint // the default one first
	admission *forward.Admission
	routes    *forward.Table
	detector  *detect.Detector
	guard     *guard.Client // nil if there is none
	forbidden [][]byte
	log       *audit.Log
	records   recorder // log, but in tests of what happens when it is full
	out       *slog.Logger
	metrics   *metrics
	refusals  *refusals
	contents  *contents
	hmacKey   []byte
	bodies    *semaphore.Weighted
	now       func() time.Time
}

// recorder takes records and alerts. It does not block; after an error, which it
// has counted and logged, what it was given is lost.
type recorder interface {
	AppendAudit(*proto.Audit) error
	AppendAlert(*proto.Event) error
}

var _ recorder = (*audit.Log)(nil)

// Run serves until ctx is done. It serves whether or not the bus can be reached;
// it returns an error if it cannot serve, or if another proxy publishes under
// this host's name.
func Run(ctx context.Context, cfg Config, rt daemon.Runtime) error {
	rt.Ready.Expect("listening", "nats")
	p, err := newProxy(cfg, rt)
	if err != nil {
		return err
	}
	defer p.close()
	listener, err := cfg.Listen(ctx)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler:           p,
		ReadHeaderTimeout: readHeader,
		IdleTimeout:       idleClient,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(rt.Log.Handler(), slog.LevelDebug),
	}
	rt.Ready.Set("listening", nil)
	rt.Log.Info("serving", "addr", listener.Addr().String(), "provider", p.endpoints[0].Provider, "guard", cfg.Guard.Enabled)
	for _, e := range p.endpoints {
		if e.NeedsKey && e.Key.IsZero() {
			rt.Log.Warn("no key for the provider: its requests will be refused", "provider", e.Provider, "setting", e.KeySetting)
		}
	}

	// Records of requests that end while the proxy stops are still to be
	// published, so the log outlasts the server.
	logging, stopLogging := context.WithCancel(context.WithoutCancel(ctx))
	defer stopLogging()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer stopLogging()
		return serve(ctx, server, listener)
	})
	group.Go(func() error { return p.publish(logging, rt) })
	return group.Wait()
}

// Listen opens what the proxy serves, unless it is open already.
func (c Config) Listen(ctx context.Context) (net.Listener, error) {
	if c.Listener != nil {
		return c.Listener, nil
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", c.Addr)
	if err != nil {
		return nil, fmt.Errorf("opening the proxy's address (set PROXY_ADDR to another): %w", err)
	}
	return l, nil
}

// serve serves until ctx is done; open requests then have a short time to end.
func serve(ctx context.Context, server *http.Server, listener net.Listener) error {
	var stopped sync.WaitGroup
	stopped.Add(1)
	stop := context.AfterFunc(ctx, func() {
		defer stopped.Done()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
		defer cancel()
		if server.Shutdown(ctx) != nil {
			_ = server.Close()
		}
	})
	err := server.Serve(listener)
	if stop() {
		return fmt.Errorf("serving: %w", err)
	}
	stopped.Wait()
	return nil
}

// publish brings the records to the bus until ctx is done. While the bus
// refuses, they wait.
func (p *proxy) publish(ctx context.Context, rt daemon.Runtime) error {
	key, err := p.cfg.NATS.Key()
	if err != nil {
		return err
	}
	for {
		err := p.publishOnce(ctx, bus.Options{
			URL:     p.cfg.NATS.URL,
			Key:     key,
			Role:    Role,
			Log:     rt.Log,
			OnState: func(err error) { rt.Ready.Set("nats", err) },
		})
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, publish.ErrFenced):
			return fmt.Errorf("publishing records: %w; stop one of the two proxies, or give them different values of OPENCLAW_HOST", err)
		}
		rt.Ready.Set("nats", err)
		rt.Log.Error("records are not published", "err", err, "retry_in", busRetry)
		select {
		case <-time.After(busRetry):
		case <-ctx.Done():
			return nil
		}
	}
}

func (p *proxy) publishOnce(ctx context.Context, o bus.Options) error {
	conn, err := bus.Connect(ctx, o)
	if err != nil {
		return fmt.Errorf("connecting to the bus: %w", err)
	}
	defer conn.Close()
	return p.log.Run(ctx, conn)
}

// newProxy makes everything that needs neither the bus nor a provider.
func newProxy(cfg Config, rt daemon.Runtime) (p *proxy, err error) {
	p = &proxy{
		cfg:      cfg,
		host:     config.HostName(cfg.Host),
		out:      rt.Log,
		bodies:   semaphore.NewWeighted(max(bodiesInHand, cfg.MaxBody)),
		now:      time.Now,
		contents: newContents(),
	}
	p.metrics = newMetrics(rt.Metrics)
	p.refusals = newRefusals(p.now)
	made := p
	defer func() {
		if err != nil {
			made.close()
		}
	}()
	tokens, err := cfg.clientTokens()
	if err != nil {
		return nil, err
	}
	if p.admission, err = forward.NewAdmission(cfg.Hosts, tokens); err != nil {
		return nil, config.Faultf("PROXY_HOSTS", "%w", err)
	}
	var keys []config.Secret
	for _, e := range cfg.LLM.Endpoints() {
		// Several providers can have one key: a gateway in front of them all.
		if !e.Key.IsZero() && !slices.ContainsFunc(keys, func(k config.Secret) bool { return k.Reveal() == e.Key.Reveal() }) {
			keys = append(keys, e.Key)
		}
	}
	canaries := cfg.canaries()
	var providers []llmapi.Provider
	for _, e := range cfg.LLM.Endpoints() {
		at, err := p.newEndpoint(e, append(keys, canaries...))
		if err != nil {
			return nil, err
		}
		p.endpoints = append(p.endpoints, at)
		providers = append(providers, llmapi.Provider(e.Provider))
	}
	if p.routes, err = forward.NewTable(providers, cfg.Paths); err != nil {
		return nil, config.Faultf("PROXY_PATHS", "%w", err)
	}
	if cfg.WebSocket {
		if err := p.routes.AllowWebSocket(); err != nil {
			return nil, err
		}
	}
	if p.detector, err = detect.New(detect.Config{Modes: cfg.Detections, Keys: keys, Canaries: canaries}); err != nil {
		return nil, config.Faultf("PROXY_DETECTIONS", "%w", err)
	}
	p.forbid(detect.KeyLeak, keys)
	p.forbid(detect.Canary, canaries)
	if cfg.Guard.Enabled {
		rt.Ready.Expect("guard")
		rt.Ready.Set("guard", nil)
		p.guard = guard.New(guard.Config{
			URL:       cfg.Guard.URL,
			Threshold: cfg.Guard.Threshold,
			Timeout:   cfg.Guard.Timeout,
			FailOpen:  cfg.Guard.FailOpen,
			OnState:   func(err error) { rt.Ready.Set("guard", err); p.guardState(err) },
		})
	}
	p.log, err = audit.Open(audit.Options{
		Dir:      cfg.AuditDir,
		MaxBytes: cfg.AuditMaxBytes,
		Host:     p.host,
		Log:      rt.Log,
		Metrics:  rt.Metrics,
		Now:      p.now,
		OnState: func(stream string, err error) {
			if err != nil {
				err = fmt.Errorf("publishing to %s: %w", stream, err)
			}
			rt.Ready.Set("nats", err)
		},
	})
	if err != nil {
		return nil, fmt.Errorf("opening the records in PROXY_AUDIT_DIR: %w", err)
	}
	p.records = p.log
	p.hmacKey, err = loadHMACKey(cfg.AuditDir)
	return p, err
}

func (p *proxy) newEndpoint(e config.LLMEndpoint, secret []config.Secret) (*endpoint, error) {
	base, err := url.Parse(e.Base)
	if err != nil {
		return nil, config.Faultf("LLM_API_BASE", "%w", err)
	}
	at := &endpoint{LLMEndpoint: e, address: base.Hostname(), port: port(base)}
	at.upstream, err = forward.NewUpstream(forward.UpstreamConfig{
		Provider:      llmapi.Provider(e.Provider),
		Base:          e.Base,
		Key:           e.Key,
		Redact:        secret,
		HeaderTimeout: p.cfg.HeaderWait,
		IdleTimeout:   p.cfg.IdleWait,
	})
	if err != nil {
		return nil, fmt.Errorf("preparing the provider %s: %w", e.Provider, err)
	}
	return at, nil
}

// forbid has answers stopped that hold one of the values, if the rule about them
// is enforced.
func (p *proxy) forbid(rule string, values []config.Secret) {
	if modeOf(p.cfg.Detections, rule) != detect.Enforce {
		return
	}
	for _, v := range values {
		if len(v.Reveal()) >= detect.MinValueBytes {
			p.forbidden = append(p.forbidden, []byte(v.Reveal()))
		}
	}
}

func (p *proxy) close() {
	for _, e := range p.endpoints {
		e.upstream.Close()
	}
	if p.guard != nil {
		p.guard.Close()
	}
	if p.log != nil {
		if err := p.log.Close(); err != nil {
			p.out.Error("closing the records", "err", err)
		}
	}
}

// alert hands an event over to the bus; a failure is counted and logged there.
func (p *proxy) alert(e *proto.Event) { _ = p.records.AppendAlert(e) }

// endpoint returns the configured provider of that name.
func (p *proxy) endpoint(provider llmapi.Provider) *endpoint {
	for _, e := range p.endpoints {
		if e.Provider == string(provider) {
			return e
		}
	}
	return nil
}

func modeOf(modes detect.Modes, rule string) detect.Mode {
	if mode, ok := modes[rule]; ok {
		return mode
	}
	for _, r := range detect.Rules() {
		if r.Name == rule {
			return r.Default
		}
	}
	return detect.Off
}

func port(u *url.URL) int {
	if n, err := net.LookupPort("tcp", u.Port()); err == nil && u.Port() != "" {
		return n
	}
	if u.Scheme == "http" {
		return 80
	}
	return 443
}
