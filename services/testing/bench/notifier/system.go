package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/notifier"
	"github.com/openclaw-security/bus/services/testing/bustest"
	"github.com/openclaw-security/bus/services/testing/childproc"
	"github.com/openclaw-security/bus/services/testing/telegramtest"
)

const (
	host     = bustest.Host
	patience = 30 * time.Second
)

var chatID = strconv.Itoa(telegramtest.PrivateID)

// settings are those of a notifier that delivers to the stand-in.
func settings(api string, perMinute int) []string {
	return []string{
		"TELEGRAM_BOT_TOKEN=" + telegramtest.Token, "TELEGRAM_CHAT_ID=" + chatID, "TELEGRAM_API=" + api,
		fmt.Sprintf("ALERT_MAX_PER_MINUTE=%d", perMinute),
		"DAILY_REPORT_HOUR=", "NOTIFIER_TIMEZONE=UTC", "ADMIN_ADDR=", "LOG_LEVEL=warn",
	}
}

// durables are those of that notifier.
func durables() ([]proto.Consumer, error) {
	var cfg notifier.Config
	err := config.Load(&cfg, settings("http://127.0.0.1", 1))
	return cfg.Consumers(bustest.AlertStreams()), err
}

// system is a bus and a stand-in for Telegram.
type system struct {
	dir      string
	server   *bustest.Server
	telegram *telegramtest.Server
	api      string         // URL of the stand-in
	sent     atomic.Int64   // requests to send a message
	arrivals chan time.Time // of those; nobody looks at them in a storm
	web      *http.Server
	conns    map[string]*bus.Conn // by role
}

// newSystem starts both, in a directory that is removed with the benchmark's.
func (b *bench) newSystem(ctx context.Context) (*system, error) {
	dir, err := os.MkdirTemp(b.dir, "system-")
	if err != nil {
		return nil, err
	}
	s := &system{
		dir: dir, telegram: telegramtest.New(telegramtest.Config{}),
		arrivals: make(chan time.Time, 16), conns: make(map[string]*bus.Conn),
	}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

func (s *system) start(ctx context.Context) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.api = "http://" + l.Addr().String()
	s.web = &http.Server{Handler: s, ReadHeaderTimeout: patience}
	go func() { _ = s.web.Serve(l) }() // until stop closes it
	consumers, err := durables()
	if err != nil {
		return err
	}
	if s.server, err = bustest.StartServer(s.dir, nil, consumers...); err != nil {
		return err
	}
	return s.server.Provision(ctx, bus.ProvisionConfig{Consumers: consumers})
}

// ServeHTTP notes when a request to send a message has arrived, and hands it on.
func (s *system) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if filepath.Base(r.URL.Path) == "sendMessage" {
		s.sent.Add(1)
		select {
		case s.arrivals <- time.Now():
		default:
		}
	}
	s.telegram.ServeHTTP(w, r)
}

// connect connects as a role, once.
func (s *system) connect(ctx context.Context, role string) (*bus.Conn, error) {
	if c := s.conns[role]; c != nil {
		return c, nil
	}
	c, err := s.server.Connect(ctx, role)
	if err == nil {
		s.conns[role] = c
	}
	return c, err
}

// run starts a process on the bus, which stop of the process ends.
func (s *system) run(role, busRole string, environ ...string) (*childproc.Process, error) {
	p := &childproc.Process{Role: role, Env: append(s.server.Environ(busRole), environ...)}
	return p, p.Start()
}

// stop ends what start has started.
func (s *system) stop() error {
	for _, c := range s.conns {
		_ = c.Close() // nothing of it is needed any more
	}
	_ = s.web.Close()
	if s.server == nil {
		return nil
	}
	return s.server.Stop()
}
