package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	guardstub "github.com/openclaw-security/bus/services/guard-stub"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/daemon"
	"github.com/openclaw-security/bus/services/proxy"
	"github.com/openclaw-security/bus/services/testing/bustest"
	"github.com/openclaw-security/bus/services/testing/childproc"
	"github.com/openclaw-security/bus/services/testing/llmtest"
)

const (
	key      = llmtest.Key
	addrVar  = "BENCHPROXY_ADDR"
	upVar    = "BENCHPROXY_UPSTREAM"
	patience = 30 * time.Second
)

// The roles of the other processes.
const (
	roleProvider = "provider"
	roleBare     = "bare"
	roleGuard    = "guard"
	roleProxy    = "proxy"
)

// proxies are the targets that publish records. Each has a bus of its own, as one
// would fence off the others on a common one.
var proxies = []string{"audit", "ours", "guarded"}

func provide(ctx context.Context) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", os.Getenv(addrVar))
	if err != nil {
		return err
	}
	return llmtest.New(llmtest.Config{Key: key, Unrecorded: true}).Serve(ctx, l)
}

func judge(ctx context.Context) error {
	var cfg guardstub.Config
	if err := config.Load(&cfg, os.Environ()); err != nil {
		return err
	}
	return guardstub.Run(ctx, cfg, daemon.Discard())
}

func runProxy(ctx context.Context) error {
	var cfg proxy.Config
	if err := config.Load(&cfg, os.Environ()); err != nil {
		return err
	}
	return proxy.Run(ctx, cfg, daemon.Discard())
}

// serveBare is what a proxy without any purpose costs.
func serveBare(ctx context.Context) error {
	to, err := url.Parse(os.Getenv(upVar))
	if err != nil {
		return err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 1024
	transport.MaxIdleConns = 0
	reverse := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(to) },
		FlushInterval: -1,
		Transport:     transport,
	}
	server := &http.Server{
		Addr: os.Getenv(addrVar),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			// Without this the server closes the request's body when the answer
			// begins, and the transport, which may not have seen the end of it yet,
			// then breaks off the answer: one in twenty here.
			if err := http.NewResponseController(w).EnableFullDuplex(); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			reverse.ServeHTTP(w, r)
		}),
		ReadHeaderTimeout: patience,
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.ListenAndServe(); ctx.Err() == nil {
		return err
	}
	return nil
}

// system are the processes of a run.
type system struct {
	urls      map[string]string // of the targets
	processes map[string]*childproc.Process
	servers   []*bustest.Server
}

func newSystem(ctx context.Context, dir string) (*system, error) {
	s := &system{urls: make(map[string]string), processes: make(map[string]*childproc.Process)}
	err := s.start(ctx, dir)
	if err != nil {
		s.stop()
	}
	return s, err
}

func (s *system) start(ctx context.Context, dir string) error {
	if err := s.run(ctx, "direct", roleProvider, func(string) []string { return nil }); err != nil {
		return err
	}
	provider := s.urls["direct"]
	if err := s.run(ctx, "bare", roleBare, func(string) []string { return []string{upVar + "=" + provider} }); err != nil {
		return err
	}
	if err := s.run(ctx, "guard", roleGuard, func(addr string) []string {
		return []string{"GUARD_STUB_ADDR=" + addr, "GUARD_STUB_CONCURRENCY=1024"}
	}); err != nil {
		return err
	}
	settings := map[string][]string{
		"audit":   {"PROXY_DETECTIONS=key-leak=off,canary=off,dangerous-command=off,secret=off,runaway-loop=off,injection-marker=off,hidden-unicode=off,tool-drift=off,secret-in-prompt=off,remote-content=off,link-exfil=off"},
		"guarded": {"GUARD_ENABLED=true", "GUARD_URL=" + s.urls["guard"] + "/scan", "GUARD_TIMEOUT=30s"},
	}
	for _, name := range proxies {
		server, err := bustest.StartServer(filepath.Join(dir, "nats-"+name), nil)
		if err != nil {
			return err
		}
		s.servers = append(s.servers, server)
		if err := server.Provision(ctx, bus.ProvisionConfig{}); err != nil {
			return err
		}
		if err := s.run(ctx, name, roleProxy, func(addr string) []string {
			return slices.Concat(settings[name], server.Environ(bus.RoleProxy), []string{
				"LLM_API_BASE=" + provider, "LLM_API_KEY=" + key,
				"GOMEMLIMIT=460MiB", // as in its container
				"PROXY_ADDR=" + addr, "PROXY_AUDIT_DIR=" + filepath.Join(dir, name),
			})
		}); err != nil {
			return err
		}
	}
	return nil
}

// run starts a process under an address of its own and waits until it serves.
func (s *system) run(ctx context.Context, name, role string, environ func(addr string) []string) error {
	addr, err := freeAddr()
	if err != nil {
		return err
	}
	p := &childproc.Process{Role: role, Env: append(environ(addr), addrVar+"="+addr), Stderr: func(line string) { fmt.Fprintln(os.Stderr, line) }}
	s.processes[name], s.urls[name] = p, "http://"+addr
	if err := p.Start(); err != nil {
		return err
	}
	if err := waitFor(ctx, addr); err != nil {
		return fmt.Errorf("starting %s: %w", name, err)
	}
	return nil
}

// restart replaces a process by a fresh one.
func (s *system) restart(ctx context.Context, name string) error {
	p := s.processes[name]
	if err := errors.Join(p.Stop(), p.Start()); err != nil {
		return err
	}
	return waitFor(ctx, strings.TrimPrefix(s.urls[name], "http://"))
}

func (s *system) stop() {
	for _, p := range s.processes {
		p.End()
	}
	for _, server := range s.servers {
		server.End()
	}
}

func waitFor(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err == nil {
			return c.Close()
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
