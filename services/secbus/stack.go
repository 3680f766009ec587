//go:build !container

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/openclaw-security/bus/services/auditor"
	guardstub "github.com/openclaw-security/bus/services/guard-stub"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/daemon"
	"github.com/openclaw-security/bus/services/internal/natsconf"
	"github.com/openclaw-security/bus/services/internal/natsd"
	"github.com/openclaw-security/bus/services/notifier"
	"github.com/openclaw-security/bus/services/proxy"
	"github.com/openclaw-security/bus/services/shipper"
)

// cliContext is the name of the nats command's context for the tail role.
const cliContext = "openclaw-security"

// shutdownWait bounds the embedded server's end. Everything it has acknowledged
// is on disk by then.
const shutdownWait = 10 * time.Second

// stack is the whole bus in one process:
//
//	embedded nats-server ◀── provision, then
//	   ▲  ▲      │
//	   │  │      ├─▶ notifier ─▶ Telegram, webhook, standard output
//	   │  │      └─▶ auditor ─▶ audit log
//	   │  └── shipper tracee   ◀─ events.json
//	   ├───── shipper suricata ◀─ eve.json
//	   └───── proxy            ◀─ the agent's LLM requests ─▶ provider
//	            └─▶ guard
//
// Each part connects over loopback with an identity of its own, as it would from
// a container.
type stack struct {
	data     string // data directory
	listen   string // host:port of the embedded server
	settings upSettings
	context  string // name of the nats command's context to write
	log      *slog.Logger
}

// running is what a stack tells when it is up.
type running struct {
	url      string
	admin    string // host:port, empty if switched off
	proxy    string // host:port, empty if switched off
	context  string // file of the nats command's context
	tailSeed string // file with the seed of the tail role
}

// run brings the stack up, calls started, and keeps it up until ctx is done or
// a part of it fails. Parts given in extra run beside the others.
func (s stack) run(ctx context.Context, started func(running), extra ...daemon.Service) (err error) {
	host := config.HostName(s.settings.Shipper.Host)
	roles := bus.Roles(host, append(expectedSources(), s.settings.Sensors.Others...), s.settings.Notifier.Consumers()...)
	server, ids, err := s.serve(roles)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownWait)
		defer cancel()
		err = errors.Join(err, server.Shutdown(ctx))
	}()
	if err := s.provision(ctx, server.URL(), ids); err != nil {
		return err
	}

	up := running{url: server.URL(), tailSeed: ids.SeedFile(bus.RoleTail)}
	up.context, err = natsconf.WriteContext(s.context, natsconf.CLIContext{
		Description: "OpenClaw security bus, read-only",
		URL:         up.url,
		SeedFile:    up.tailSeed,
		InboxPrefix: bus.InboxPrefix(bus.RoleTail),
	})
	if err != nil {
		// The bus works without; its own commands do not use it.
		s.log.Warn("the nats command cannot be set up", "err", err)
	}
	forget, err := writeEndpoint(s.data, endpoint{URL: up.url, PID: os.Getpid()})
	if err != nil {
		return err
	}
	defer forget()

	registry := daemon.NewRegistry()
	rt := daemon.Runtime{Log: s.log, Metrics: registry, Ready: daemon.NewReadiness()}
	services, err := s.services(up.url, ids)
	if err != nil {
		return err
	}
	if s.settings.Proxy.Addr != "" {
		llm, addr, err := s.llm(ctx, up.url, ids)
		if err != nil {
			return err
		}
		services = append(services, llm...)
		up.proxy = addr
	}
	services = append(services, daemon.Service{Name: "nats", Run: func(ctx context.Context, _ daemon.Runtime) error { return server.Watch(ctx) }})
	if s.settings.Admin.Addr != "" {
		admin, err := daemon.ListenAdmin(ctx, s.settings.Admin, registry, rt.Ready, s.log)
		if err != nil {
			return err
		}
		up.admin = admin.Addr()
		services = append(services, daemon.Service{Name: "admin", Run: func(ctx context.Context, _ daemon.Runtime) error { return admin.Run(ctx) }})
	}
	started(up)
	return rt.RunAll(ctx, append(services, extra...)...)
}

// serve starts the embedded server with an identity for each role.
func (s stack) serve(roles []bus.Role) (*natsd.Server, *natsconf.Identities, error) {
	names := make([]string, len(roles))
	for i, r := range roles {
		names[i] = r.Name
	}
	ids, err := natsconf.LoadOrCreate(keysDir(s.data), names)
	if err != nil {
		return nil, nil, err
	}
	server, err := natsd.Start(natsd.Config{
		Dir:        storeDir(s.data),
		Listen:     s.listen,
		Roles:      roles,
		PublicKeys: ids.PublicKeys(),
		MaxStore:   storeLimit(s.settings.Retention),
		Log:        s.log,
	})
	if errors.Is(err, natsd.ErrInUse) {
		return nil, nil, fmt.Errorf("a bus is already running on %s: stop it, or choose another data directory with --data: %w", s.data, err)
	}
	if err != nil {
		return nil, nil, err
	}
	return server, ids, nil
}

// provision creates or migrates the streams, as the only role that may.
func (s stack) provision(ctx context.Context, url string, ids *natsconf.Identities) error {
	key, err := natsconf.LoadSeed(ids.SeedFile(bus.RoleProvisioner))
	if err != nil {
		return fmt.Errorf("loading the provisioner's key: %w", err)
	}
	conn, err := bus.Connect(ctx, bus.Options{URL: url, Role: bus.RoleProvisioner, Key: key, Log: s.log})
	if err != nil {
		return err
	}
	defer conn.Close()
	report, err := conn.Provision(ctx, bus.Plan{Limits: limits(s.settings.Retention), Consumers: s.settings.Notifier.Consumers()})
	if err != nil {
		return err
	}
	s.log.Debug("provisioned", "report", report)
	return nil
}

// services are the parts that work on the bus.
func (s stack) services(url string, ids *natsconf.Identities) ([]daemon.Service, error) {
	var services []daemon.Service
	for source, path := range map[string]string{
		shipper.SourceSuricata: s.settings.Sensors.Suricata,
		shipper.SourceTracee:   s.settings.Sensors.Tracee,
	} {
		cfg := s.settings.Shipper
		cfg.Source, cfg.Path = source, path
		cfg.Hint = filepath.Join(s.data, "hints", source+".json")
		role := bus.ShipperRole(source)
		if err := connectAs(&cfg.NATS, url, ids, role); err != nil {
			return nil, err
		}
		services = append(services, daemon.Service{Name: role, Run: func(ctx context.Context, rt daemon.Runtime) error {
			return shipper.Run(ctx, cfg, rt)
		}})
	}
	audit := s.settings.Auditor
	if err := connectAs(&audit.NATS, url, ids, auditor.Role); err != nil {
		return nil, err
	}
	if !filepath.IsAbs(audit.Dir) {
		audit.Dir = filepath.Join(s.data, audit.Dir)
	}
	services = append(services, daemon.Service{Name: auditor.Role, Run: func(ctx context.Context, rt daemon.Runtime) error {
		return auditor.Run(ctx, audit, rt)
	}})
	cfg := s.settings.Notifier
	if err := connectAs(&cfg.NATS, url, ids, notifier.Role); err != nil {
		return nil, err
	}
	return append(services, daemon.Service{Name: notifier.Role, Run: func(ctx context.Context, rt daemon.Runtime) error {
		return notifier.Run(ctx, cfg, rt)
	}}), nil
}

// llm are the proxy and, if it is to have the shipped one, its guard. Their
// addresses are opened at once, so that one in use is known before anything
// starts.
func (s stack) llm(ctx context.Context, url string, ids *natsconf.Identities) (services []daemon.Service, addr string, err error) {
	cfg := s.settings.Proxy
	if err := connectAs(&cfg.NATS, url, ids, proxy.Role); err != nil {
		return nil, "", err
	}
	if !filepath.IsAbs(cfg.AuditDir) {
		cfg.AuditDir = filepath.Join(s.data, cfg.AuditDir)
	}
	if cfg.Listener, err = cfg.Listen(ctx); err != nil {
		return nil, "", err
	}
	if s.settings.ownGuard {
		stub := s.settings.GuardStub
		stub.Listener, err = new(net.ListenConfig).Listen(ctx, "tcp", stub.Addr)
		if err != nil {
			return nil, "", errors.Join(fmt.Errorf("opening the guard's address (set GUARD_STUB_ADDR to another): %w", err), cfg.Listener.Close())
		}
		cfg.Guard.URL = "http://" + stub.Listener.Addr().String() + "/scan"
		services = append(services, daemon.Service{Name: "guard-stub", Run: func(ctx context.Context, rt daemon.Runtime) error {
			return guardstub.Run(ctx, stub, rt)
		}})
	}
	services = append(services, daemon.Service{Name: proxy.Role, Run: func(ctx context.Context, rt daemon.Runtime) error {
		return proxy.Run(ctx, cfg, rt)
	}})
	return services, cfg.Listener.Addr().String(), nil
}

// connectAs makes settings those of role on the embedded server.
func connectAs(settings *config.NATS, url string, ids *natsconf.Identities, role string) error {
	seed, err := os.ReadFile(ids.SeedFile(role))
	if err != nil {
		return fmt.Errorf("loading the key of role %s: %w", role, err)
	}
	settings.URL, settings.NKeySeed = url, config.NewSecret(string(seed[:len(seed)-1]))
	return nil
}

// sensorsWaited lists the sensors' files that do not exist yet.
func (s stack) sensorsWaited() []string {
	var missing []string
	for _, path := range []string{s.settings.Sensors.Suricata, s.settings.Sensors.Tracee} {
		if found, err := filepath.Glob(path); err == nil && len(found) == 0 {
			missing = append(missing, path)
		}
	}
	return missing
}
