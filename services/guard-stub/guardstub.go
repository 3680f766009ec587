// Package guardstub is a guard that runs anywhere: it scores texts by rules
// rather than by a model, over the same contract as a real classifier.
//
//	POST /scan {"messages":["…"]} ─▶ bounded read ─▶ fold ─▶ keywords ─▶ patterns ─▶ {"score":0.9,"reason":"…"}
//
// The score is from 0 to 1, and the same for the same texts and rules. POST /
// is the same as POST /scan; GET /healthz answers 200. What is refused has a
// status from 400 on and a body {"error":"…"}:
//
//	400  the body is not a JSON object with a list of texts in messages
//	404  another path
//	405  another method
//	413  more than GUARD_STUB_MAX_BODY bytes, or more than 4096 messages
//	415  the content type is not application/json
//	503  GUARD_STUB_CONCURRENCY requests are being judged; try again
//
// Other members of the object are ignored, so that a proxy may send more.
package guardstub

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/openclaw-security/bus/services/internal/httpserve"

	"github.com/openclaw-security/bus/services/internal/daemon"
)

// stopGrace bounds how long open requests may delay the end; it is shorter than
// [daemon.ServiceGrace].
const stopGrace = 5 * time.Second

// serving is the condition that holds while requests are answered.
const serving = "serving"

// Run serves the guard until ctx is done, then gives open requests 5 s to end.
// It returns an error if the rules are faulty or the address cannot be served.
func Run(ctx context.Context, cfg Config, rt daemon.Runtime) error {
	rt.Ready.Expect(serving)
	rules, err := cfg.loadRules()
	if err != nil {
		return err
	}
	hosts, err := httpserve.NewHosts("GUARD_STUB_HOSTS", cfg.Hosts...)
	if err != nil {
		return err
	}
	hosts.AddOwn(cfg.Addr)
	listener := cfg.Listener
	if listener == nil {
		listener, err = new(net.ListenConfig).Listen(ctx, "tcp", cfg.Addr)
		if err != nil {
			return fmt.Errorf("opening the guard's address (set GUARD_STUB_ADDR to another): %w", err)
		}
	}
	server := &http.Server{
		Handler:           newHandler(rules, cfg, rt.Log, newMetrics(rt.Metrics)),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      time.Minute,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(rt.Log.Handler(), slog.LevelWarn),
	}
	rt.Ready.Set(serving, nil)
	rt.Log.Info("judging", "addr", listener.Addr().String(), "rules", rules.Len())
	return httpserve.Serve(ctx, listener, server, hosts, stopGrace)
}
