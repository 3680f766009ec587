package daemon

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/httpserve"
)

// adminGrace bounds how long open requests may delay the end.
const adminGrace = 2 * time.Second

// Admin is the HTTP server for the operator of the process. It serves
//
//	/healthz  200 while the process serves requests at all
//	/readyz   200 if every condition holds, else 503 and why not; as text, or
//	          as JSON with ?format=json or Accept: application/json
//	/metrics  Prometheus metrics
type Admin struct {
	listener net.Listener
	server   *http.Server
	hosts    *httpserve.Hosts
}

// ListenAdmin opens cfg.Addr, so that an address in use is known before
// anything else starts. It serves once Run is called.
func ListenAdmin(ctx context.Context, cfg config.Admin, metrics prometheus.Gatherer, ready *Readiness, log *slog.Logger) (*Admin, error) {
	hosts, err := httpserve.NewHosts("ADMIN_HOSTS", cfg.Hosts...)
	if err != nil {
		return nil, err
	}
	hosts.AddOwn(cfg.Addr)
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", cfg.Addr)
	if err != nil {
		return nil, fmt.Errorf("opening the admin address (set ADMIN_ADDR to another, or to nothing for none): %w", err)
	}
	errorLog := slog.NewLogLogger(log.Handler(), slog.LevelWarn)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { writeText(w, http.StatusOK, "ok\n") })
	mux.HandleFunc("GET /readyz", readyHandler(ready))
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{
		ErrorLog:            errorLog,
		MaxRequestsInFlight: 4,
	}))
	return &Admin{
		listener: listener,
		hosts:    hosts,
		server: &http.Server{
			Handler:           mux,
			ReadHeaderTimeout: 5 * time.Second,
			ReadTimeout:       5 * time.Second,
			WriteTimeout:      15 * time.Second,
			IdleTimeout:       time.Minute,
			MaxHeaderBytes:    16 << 10,
			ErrorLog:          errorLog,
		},
	}, nil
}

// Addr returns the address that is served, with the port that was taken if port
// 0 was asked for.
func (a *Admin) Addr() string { return a.listener.Addr().String() }

// Run serves until ctx is done, then gives open requests 2 s to end before it
// closes their connections. It returns an error only if serving itself fails.
func (a *Admin) Run(ctx context.Context) error {
	return httpserve.Serve(ctx, a.listener, a.server, a.hosts, adminGrace)
}

func readyHandler(ready *Readiness) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		conditions, ok := ready.Check()
		status := http.StatusOK
		if !ok {
			status = http.StatusServiceUnavailable
		}
		if r.URL.Query().Get("format") == "json" || strings.Contains(r.Header.Get("Accept"), "application/json") {
			writeReadyJSON(w, status, conditions)
			return
		}
		var b strings.Builder
		if len(conditions) == 0 {
			b.WriteString("not ready: nothing has been reported yet\n")
		}
		for _, c := range conditions {
			if c.Err == nil {
				fmt.Fprintf(&b, "ok %s\n", c.Name)
			} else {
				fmt.Fprintf(&b, "not ready %s: %s\n", c.Name, strings.ReplaceAll(c.Err.Error(), "\n", "; "))
			}
		}
		writeText(w, status, b.String())
	}
}

func writeReadyJSON(w http.ResponseWriter, status int, conditions []Condition) {
	type condition struct {
		Name   string `json:"name"`
		Ready  bool   `json:"ready"`
		Reason string `json:"reason,omitempty"`
	}
	answer := struct {
		Ready      bool        `json:"ready"`
		Conditions []condition `json:"conditions"`
	}{Ready: status == http.StatusOK, Conditions: []condition{}}
	for _, c := range conditions {
		one := condition{Name: c.Name, Ready: c.Err == nil}
		if c.Err != nil {
			one.Reason = c.Err.Error()
		}
		answer.Conditions = append(answer.Conditions, one)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	// The only error left is a client that has gone.
	_ = json.NewEncoder(w).Encode(answer)
}

func writeText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text))
}
