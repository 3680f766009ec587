// Package proxy passes an agent's requests on to a model provider. It holds the
// only copy of the provider's key, stops what must not pass, and records each
// request.
//
//	client ─▶ admitted? ─▶ route ─▶ body ─▶ inspect ─▶ detect, guard ─▶ start record ─▶ forward ─▶ provider
//	             │           │        │        │            │                               │
//	             └─ refused ─┴────────┴────────┴─ blocked ──┘                               ▼
//	client ◀────────── text at once, a tool call once it has been judged ◀────────────── answer
//	                                         │
//	                                         └─▶ final record, alerts ─▶ spool on disk ─▶ SECURITY_AUDIT, ALERTS_proxy
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
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/httpserve"
	"github.com/openclaw-security/bus/services/internal/retry"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/daemon"
	"github.com/openclaw-security/bus/services/internal/flood"
	"github.com/openclaw-security/bus/services/internal/progress"
	"github.com/openclaw-security/bus/services/internal/publish"
	"github.com/openclaw-security/bus/services/proxy/internal/detect"
	"github.com/openclaw-security/bus/services/proxy/internal/forward"
	"github.com/openclaw-security/bus/services/proxy/internal/guard"
	"github.com/openclaw-security/bus/services/proxy/internal/inspect"
	"github.com/openclaw-security/bus/services/proxy/internal/limit"
	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
	"github.com/openclaw-security/bus/services/proxy/internal/spelled"
	"github.com/openclaw-security/bus/services/proxy/internal/spool"
)

// Role is the identity that the proxy connects as; source is its name on the bus.
const (
	Role   = bus.RoleProxy
	source = spool.Source
)

const (
	stopGrace  = 5 * time.Second  // for open requests when the proxy stops
	busRetry   = 10 * time.Second // after the bus has refused for good, about: somebody may provision it
	readHeader = 10 * time.Second
	idleClient = 2 * time.Minute
	maxHeader  = 16 << 10

	// exchangeWeight is what a request takes from its beginning to its end, in
	// bytes: its header, both connections, and buffers of an answer.
	exchangeWeight = 160 << 10
)

// endpoint is a provider that is configured.
type endpoint struct {
	LLMEndpoint
	upstream *forward.Upstream
	options  *streamOptions
	address  string
	port     int
}

// proxy is the handler of all requests and what it works with.
type proxy struct {
	started   time.Time
	cfg       Config
	endpoints []*endpoint // the default one first
	access    *forward.Access
	routes    *forward.Table
	detector  *detect.Detector
	guard     *guard.Client // nil if there is none
	forbidden [][]byte
	spelled   *spelled.Values  // the forbidden values, written in other ways
	leaks     []detect.Finding // what an answer that holds a forbidden value is found to be, by its index
	spool     *spool.Spool
	records   *records
	log       *slog.Logger
	metrics   *metrics
	counts    *counts
	memory    *limit.Memory
	conns     *limit.Connections
}

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
		ConnState:         p.conns.State,
		ErrorLog:          slog.NewLogLogger(rt.Log.Handler(), slog.LevelDebug),
	}
	rt.Ready.Set("listening", nil)
	rt.Log.Info("serving", "addr", listener.Addr().String(), "provider", p.endpoints[0].Provider, "guard", cfg.Guard.Enabled)
	for _, e := range p.endpoints {
		if e.NeedsKey && e.Key.IsZero() {
			rt.Log.Warn("no key for the provider: its requests will be refused", "provider", e.Label(), "setting", e.KeySetting)
		}
	}

	// Records of requests that end while the proxy stops are still to be
	// published, so the log outlasts the server.
	logging, stopLogging := context.WithCancel(context.WithoutCancel(ctx))
	defer stopLogging()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer stopLogging()
		return httpserve.Serve(ctx, p.conns.Listener(listener), server, nil, stopGrace) // refusals are recorded: see Access
	})
	group.Go(func() error { return p.publish(logging, rt) })
	group.Go(func() error { return p.records.watchFloods(logging) })
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

// publish brings the records to the bus until ctx is done. While the bus
// refuses, they wait.
func (p *proxy) publish(ctx context.Context, rt daemon.Runtime) error {
	key, err := p.cfg.NATS.Key()
	if err != nil {
		return err
	}
	options := bus.Options{
		URL:     p.cfg.NATS.URL,
		Key:     key,
		Role:    Role,
		Log:     rt.Log,
		OnState: func(err error) { rt.Ready.Set("nats", err) },
	}
	waits := retry.Policy{Min: busRetry, Max: busRetry, OnRetry: func(err error, wait time.Duration) {
		rt.Ready.Set("nats", err)
		rt.Log.Error("records are not published", "err", err, "retry_in", wait)
	}}
	err = retry.Do(ctx, waits, func(ctx context.Context) error {
		err := p.publishOnce(ctx, options, rt)
		if errors.Is(err, publish.ErrFenced) {
			return retry.Permanent(fmt.Errorf("publishing records: %w; stop one of the two proxies, or give them different values of OPENCLAW_HOST", err))
		}
		return err
	})
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (p *proxy) publishOnce(ctx context.Context, o bus.Options, rt daemon.Runtime) error {
	conn, err := bus.Connect(ctx, o)
	if err != nil {
		return fmt.Errorf("connecting to the bus: %w", err)
	}
	defer conn.Close()
	defer progress.Heart{
		Conn: conn, Host: config.HostName(p.cfg.Host), Source: Role, Log: o.Log, Started: p.started,
		Problem: func() error { return rt.Ready.Reason("nats") },
	}.Start(ctx)()
	return p.spool.Run(ctx, conn)
}

// newProxy makes everything that needs neither the bus nor a provider.
func newProxy(cfg Config, rt daemon.Runtime) (p *proxy, err error) {
	p = &proxy{
		started: time.Now(),
		cfg:     cfg,
		log:     rt.Log,
		metrics: newMetrics(rt.Metrics),
		counts:  newCounts(),
		memory: limit.NewMemory(limit.MemoryConfig{
			Total:   cfg.Memory,
			Client:  cfg.clientMemory(),
			Reserve: inspect.MaxWeight(cfg.MaxBody),
			Wait:    cfg.MemoryWait,
		}),
	}
	p.conns = limit.NewConnections(cfg.Conns, max(cfg.Conns/2, 1), p.metrics.connsRefused.Inc)
	p.metrics.watch(rt.Metrics, p.memory, p.conns)
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
	if p.access, err = forward.NewAccess(cfg.Hosts, tokens); err != nil {
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
	var services []forward.Service
	for _, e := range cfg.LLM.Endpoints() {
		at, err := p.newEndpoint(e, append(keys, canaries...))
		if err != nil {
			return nil, err
		}
		p.endpoints = append(p.endpoints, at)
		services = append(services, forward.Service{Name: e.Name, Provider: llmapi.Provider(e.Provider), Azure: e.Azure})
	}
	if p.routes, err = forward.NewTable(services, cfg.Paths); err != nil {
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
	p.spelled = spelled.New(p.forbidden)
	if cfg.Guard.Enabled {
		rt.Ready.Expect("guard")
		rt.Ready.Set("guard", nil)
		p.guard = guard.New(guard.Config{
			URL:       cfg.Guard.URL,
			Threshold: cfg.Guard.Threshold,
			Timeout:   cfg.Guard.Timeout,
			FailOpen:  cfg.Guard.FailOpen,
			OnState: func(err error) {
				rt.Ready.Set("guard", err)
				p.records.guardState(err, cfg.Guard.FailOpen)
			},
		})
	}
	host := config.HostName(cfg.Host)
	p.spool, err = spool.Open(spool.Options{
		Dir:      cfg.AuditDir,
		MaxBytes: cfg.AuditMaxBytes,
		Host:     host,
		Log:      rt.Log,
		Metrics:  rt.Metrics,
		Now:      time.Now,
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
	prompts, err := newPrompts(cfg.AuditDir, cfg.AuditContent)
	if err != nil {
		return nil, err
	}
	redactor := forward.NewRedactor(append(keys, canaries...))
	folder := flood.New(cfg.Flood, time.Now)
	rt.Metrics.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "proxy_flood_folded_total",
		Help: "Alerts that were counted only because their rule had more than ALERT_FLOOD in a minute.",
	}, func() float64 { return float64(folder.Folded()) }))
	p.records = &records{
		spool: p.spool, host: host, now: time.Now, metrics: p.metrics, prompts: prompts, refusals: newRefusals(time.Now),
		redact:          func(s string) string { return p.withoutValues(redactor, s) },
		busyLimit:       rate.NewLimiter(rate.Every(busyEvery), 1),
		unrecordedLimit: rate.NewLimiter(rate.Every(unrecordedEvery), 1),
		flood:           &floods{folder: folder},
	}
	return p, nil
}

// withoutValues is s without keys and canaries: in forms that only the detections
// know, nothing of it is left.
func (p *proxy) withoutValues(r forward.Redactor, s string) string {
	clean := r.Redact([]byte(s))
	switch {
	case p.detector.HoldsValue(clean):
		return "[redacted]"
	case string(clean) == s:
		return s
	}
	return string(clean)
}

func (p *proxy) newEndpoint(e LLMEndpoint, secret []config.Secret) (*endpoint, error) {
	base, err := url.Parse(e.Base)
	if err != nil {
		return nil, config.Faultf("LLM_API_BASE", "%w", err)
	}
	at := &endpoint{LLMEndpoint: e, options: newStreamOptions(e.NoStreamOptions), address: base.Hostname(), port: port(base)}
	at.upstream, err = forward.NewUpstream(forward.UpstreamConfig{
		Provider:      llmapi.Provider(e.Provider),
		Azure:         e.Azure,
		Base:          e.Base,
		Key:           e.Key,
		Redact:        secret,
		HeaderTimeout: p.cfg.HeaderWait,
		IdleTimeout:   p.cfg.IdleWait,
	})
	if err != nil {
		return nil, fmt.Errorf("preparing the provider %s: %w", e.Label(), err)
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
			p.leaks = append(p.leaks, detect.Finding{
				Rule: rule, Severity: proto.SeverityCritical, Where: detect.InResponse, Detail: "outside the texts of the answer", Enforced: true,
			})
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
	if p.spool != nil {
		if err := p.spool.Close(); err != nil {
			p.log.Error("closing the records", "err", err)
		}
	}
}

// endpoint returns where a route's requests go.
func (p *proxy) endpoint(route forward.Route) *endpoint {
	for _, e := range p.endpoints {
		if e.Name == route.Upstream && e.Provider == string(route.Provider) {
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
