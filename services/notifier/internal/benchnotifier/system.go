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
	"github.com/openclaw-security/bus/services/internal/natsconf"
	"github.com/openclaw-security/bus/services/internal/natsd"
	"github.com/openclaw-security/bus/services/internal/telegramtest"
	"github.com/openclaw-security/bus/services/notifier"
	"github.com/openclaw-security/bus/services/shipper"
)

const (
	host       = "bench"
	dirVar     = "BENCHNOTIFIER_DIR"
	addressVar = "BENCHNOTIFIER_ADDRESS"
	patience   = 30 * time.Second
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
	return cfg.Consumers(), err
}

// identities makes the keys of a directory's server, or reads them.
func identities(dir string) ([]bus.Role, *natsconf.Identities, error) {
	consumers, err := durables()
	if err != nil {
		return nil, nil, err
	}
	roles := bus.Roles(host, []string{shipper.SourceSuricata, shipper.SourceTracee}, consumers...)
	var names []string
	for _, r := range roles {
		names = append(names, r.Name)
	}
	ids, err := natsconf.LoadOrCreate(filepath.Join(dir, "keys"), names)
	return roles, ids, err
}

// serve is the server process.
func serve(ctx context.Context) error {
	dir := os.Getenv(dirVar)
	roles, ids, err := identities(dir)
	if err != nil {
		return err
	}
	s, err := natsd.Start(natsd.Config{
		Dir:        filepath.Join(dir, "nats"),
		Listen:     os.Getenv(addressVar),
		Roles:      roles,
		PublicKeys: ids.PublicKeys(),
	})
	if err != nil {
		return err
	}
	<-ctx.Done()
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	return s.Shutdown(end)
}

// system is a bus and a stand-in for Telegram.
type system struct {
	dir      string
	url      string // of the bus
	ids      *natsconf.Identities
	server   *process
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
	address, err := freeAddress()
	if err != nil {
		return err
	}
	s.url = "nats://" + address
	if _, s.ids, err = identities(s.dir); err != nil {
		return err
	}
	if s.server, err = start(roleServer, dirVar+"="+s.dir, addressVar+"="+address); err != nil {
		return err
	}
	provisioner, err := s.connect(ctx, bus.RoleProvisioner)
	if err != nil {
		return err
	}
	consumers, err := durables()
	if err != nil {
		return err
	}
	_, err = provisioner.Provision(ctx, bus.Plan{Consumers: consumers})
	return err
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
	key, err := natsconf.LoadSeed(s.ids.SeedFile(role))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c, err := bus.Connect(ctx, bus.Options{URL: s.url, Role: role, Key: key})
	if err == nil {
		s.conns[role] = c
	}
	return c, err
}

// environ is what a process needs to know to be on the bus.
func (s *system) environ(role string) []string {
	return []string{"NATS_URL=" + s.url, "NATS_NKEY_SEED_FILE=" + s.ids.SeedFile(role)}
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
	return s.server.stop()
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
