package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	guardstub "github.com/openclaw-security/bus/services/guard-stub"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/daemon"
	"github.com/openclaw-security/bus/services/internal/llmtest"
	"github.com/openclaw-security/bus/services/internal/natsconf"
	"github.com/openclaw-security/bus/services/internal/natsd"
	"github.com/openclaw-security/bus/services/proxy"
)

const (
	key      = llmtest.Key
	dirVar   = "BENCHPROXY_DIR"
	addrVar  = "BENCHPROXY_ADDR"
	upVar    = "BENCHPROXY_UPSTREAM"
	patience = 30 * time.Second
)

// host is what every proxy is called: each has a bus of its own, as one would
// fence off the others on a common one.
const host = "bench"

// proxies are the targets that publish records.
var proxies = []string{"audit", "ours", "guarded"}

// child is one of the processes.
func child(ctx context.Context, role string) error {
	addr := os.Getenv(addrVar)
	switch {
	case role == "provider":
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
		if err != nil {
			return err
		}
		return llmtest.New(llmtest.Config{Key: key, Unrecorded: true}).Serve(ctx, l)
	case strings.HasPrefix(role, "nats-"):
		dir := filepath.Join(os.Getenv(dirVar), role)
		ids, err := identities(dir)
		if err != nil {
			return err
		}
		s, err := natsd.Start(natsd.Config{Dir: filepath.Join(dir, "store"), Listen: addr, Roles: bus.Roles(host, nil), PublicKeys: ids.PublicKeys()})
		if err != nil {
			return err
		}
		<-ctx.Done()
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		return s.Shutdown(end)
	case role == "bare":
		return serveBare(ctx, addr, os.Getenv(upVar))
	case role == "guard":
		var cfg guardstub.Config
		if err := config.Load(&cfg, os.Environ()); err != nil {
			return err
		}
		return guardstub.Run(ctx, cfg, daemon.Discard())
	default:
		var cfg proxy.Config
		if err := config.Load(&cfg, os.Environ()); err != nil {
			return err
		}
		return proxy.Run(ctx, cfg, daemon.Discard())
	}
}

// serveBare is what a proxy without any purpose costs.
func serveBare(ctx context.Context, addr, upstream string) error {
	to, err := url.Parse(upstream)
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
		Addr: addr,
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

func identities(dir string) (*natsconf.Identities, error) {
	var names []string
	for _, r := range bus.Roles(host, nil) {
		names = append(names, r.Name)
	}
	return natsconf.LoadOrCreate(filepath.Join(dir, "keys"), names)
}

// system are the processes of a run.
type system struct {
	dir       string
	urls      map[string]string // of the targets
	environs  map[string][]string
	processes map[string]*exec.Cmd
}

func newSystem(ctx context.Context, dir string) (*system, error) {
	s := &system{dir: dir, urls: make(map[string]string), environs: make(map[string][]string), processes: make(map[string]*exec.Cmd)}
	if err := os.Setenv(dirVar, dir); err != nil {
		return nil, err
	}
	names := []string{"provider", "guard", "bare"}
	for _, name := range proxies {
		names = append(names, "nats-"+name, name)
	}
	addrs := make(map[string]string)
	for _, name := range names {
		addr, err := freeAddr()
		if err != nil {
			return nil, err
		}
		addrs[name] = addr
	}
	provider := "http://" + addrs["provider"]
	s.environs["bare"] = []string{upVar + "=" + provider}
	s.environs["guard"] = []string{"GUARD_STUB_ADDR=" + addrs["guard"], "GUARD_STUB_CONCURRENCY=1024"}
	for _, name := range proxies {
		ids, err := identities(filepath.Join(dir, "nats-"+name))
		if err != nil {
			return nil, err
		}
		s.environs[name] = []string{
			"LLM_API_BASE=" + provider, "LLM_API_KEY=" + key, "OPENCLAW_HOST=" + host,
			"PROXY_ADDR=" + addrs[name], "PROXY_AUDIT_DIR=" + filepath.Join(dir, name),
			"NATS_URL=nats://" + addrs["nats-"+name], "NATS_NKEY_SEED_FILE=" + ids.SeedFile(bus.RoleProxy),
		}
	}
	s.environs["audit"] = append(s.environs["audit"], "PROXY_DETECTIONS=key-leak=off,canary=off,dangerous-command=off,secret=off,runaway-loop=off,injection-marker=off,hidden-unicode=off,tool-drift=off,secret-in-prompt=off")
	s.environs["guarded"] = append(s.environs["guarded"], "GUARD_ENABLED=true", "GUARD_URL=http://"+addrs["guard"]+"/scan", "GUARD_TIMEOUT=30s")
	for _, name := range names {
		s.environs[name] = append(s.environs[name], addrVar+"="+addrs[name])
		s.urls[name] = "http://" + addrs[name]
		if err := s.start(ctx, name); err != nil {
			s.stop()
			return nil, err
		}
		err := waitFor(ctx, addrs[name])
		if nats, ok := strings.CutPrefix(name, "nats-"); ok && err == nil {
			err = provision(ctx, addrs[name], filepath.Join(dir, "nats-"+nats))
		}
		if err != nil {
			s.stop()
			return nil, fmt.Errorf("starting %s: %w", name, err)
		}
	}
	s.urls["direct"] = provider
	return s, nil
}

func provision(ctx context.Context, addr, dir string) error {
	ids, err := identities(dir)
	if err != nil {
		return err
	}
	k, err := natsconf.LoadSeed(ids.SeedFile(bus.RoleProvisioner))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := bus.Connect(ctx, bus.Options{URL: "nats://" + addr, Role: bus.RoleProvisioner, Key: k})
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Provision(ctx, bus.Plan{})
	return err
}

func (s *system) start(ctx context.Context, name string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Env = append(append(os.Environ(), s.environs[name]...), childRole+"="+name)
	cmd.Stderr = os.Stderr
	s.processes[name] = cmd
	return cmd.Start()
}

// restart replaces a process by a fresh one.
func (s *system) restart(ctx context.Context, name string) error {
	s.end(name)
	if err := s.start(ctx, name); err != nil {
		return err
	}
	return waitFor(ctx, strings.TrimPrefix(s.urls[name], "http://"))
}

func (s *system) end(name string) {
	if cmd := s.processes[name]; cmd.Process != nil {
		_ = cmd.Process.Signal(os.Interrupt) // it may have ended
		_ = cmd.Wait()
	}
}

func (s *system) stop() {
	for name := range s.processes {
		s.end(name)
	}
}

// peakRSS is the most memory that a process has had, in bytes.
func (s *system) peakRSS(name string) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.processes[name].Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("reading the process's memory, which needs Linux: %w", err)
	}
	for scanner := bufio.NewScanner(bytes.NewReader(status)); scanner.Scan(); {
		if kb, ok := strings.CutPrefix(scanner.Text(), "VmHWM:"); ok {
			n, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(kb), " kB"), 64)
			return n * 1024, err
		}
	}
	return 0, fmt.Errorf("no VmHWM of process %s", name)
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
