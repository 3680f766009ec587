// Package proxytest runs the LLM proxy as its program does, for tests and programs
// outside of its package, and gives them the records and alerts that it publishes.
//
//	client ─▶ Proxy ─▶ a stand-in for the provider
//	            └─▶ NATS ─▶ Journal
package proxytest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"

	"golang.org/x/sync/errgroup"

	guardstub "github.com/openclaw-security/bus/services/guard-stub"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/daemon"
	"github.com/openclaw-security/bus/services/proxy"
)

// Proxy is one that runs.
type Proxy struct {
	URL string // http://127.0.0.1:port without a slash at the end

	stop  context.CancelFunc
	parts *errgroup.Group
}

// Start starts a proxy with these settings on a free port of the loopback
// interface. If GUARD_ENABLED is true and GUARD_URL unset, the shipped guard runs
// beside it, as it does under `secbus up`.
func Start(ctx context.Context, environ []string) (*Proxy, error) {
	ctx, stop := context.WithCancel(ctx)
	parts, ctx := errgroup.WithContext(ctx)
	p := &Proxy{stop: stop, parts: parts}
	if err := p.start(ctx, environ); err != nil {
		return nil, errors.Join(err, p.Stop())
	}
	return p, nil
}

func (p *Proxy) start(ctx context.Context, environ []string) error {
	guarded, _ := strconv.ParseBool(config.Lookup(environ, "GUARD_ENABLED")) // what is no bool, Load refuses
	if guarded && config.Lookup(environ, "GUARD_URL") == "" {
		url, err := p.guard(ctx)
		if err != nil {
			return err
		}
		environ = append(slices.Clip(environ), "GUARD_URL="+url)
	}
	var cfg proxy.Config
	if err := config.Load(&cfg, environ); err != nil {
		return err
	}
	l, err := listen(ctx)
	if err != nil {
		return err
	}
	cfg.Listener = l
	p.URL = "http://" + l.Addr().String()
	p.parts.Go(func() error { return proxy.Run(ctx, cfg, daemon.Discard()) })
	return nil
}

// guard starts the shipped guard and returns its URL.
func (p *Proxy) guard(ctx context.Context) (string, error) {
	var cfg guardstub.Config
	if err := config.Load(&cfg, nil); err != nil {
		return "", err
	}
	l, err := listen(ctx)
	if err != nil {
		return "", err
	}
	cfg.Listener = l
	p.parts.Go(func() error { return guardstub.Run(ctx, cfg, daemon.Discard()) })
	return "http://" + l.Addr().String() + "/scan", nil
}

func listen(ctx context.Context) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("opening a port for the proxy: %w", err)
	}
	return l, nil
}

// Stop stops the proxy, waits for its end and returns the error that it has ended
// with. What it has not published by then stays in its directory.
func (p *Proxy) Stop() error {
	p.stop()
	return p.parts.Wait()
}
