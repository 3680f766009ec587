//go:build !container

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/daemon"
	"github.com/openclaw-security/bus/services/internal/natsconf"
	"github.com/openclaw-security/bus/services/internal/natsd"
	"github.com/openclaw-security/bus/services/internal/service"
)

type upCommand struct {
	dataFlags
	Listen  string `default:"127.0.0.1:4222" placeholder:"ADDR" help:"Where the embedded NATS server listens; port 0 takes a free one (${default})."`
	Context string `default:"openclaw-security" placeholder:"NAME" help:"Name of the context that is written for the nats command (${default})."`
}

// Help is shown by --help.
func (upCommand) Help() string {
	return "Follows the files named by SURICATA_EVE_PATH and TRACEE_EVENTS_PATH and prints alerts. Settings come from the environment; docs/configuration.md lists them."
}

// Run brings the bus up until ctx is done.
func (c *upCommand) Run(ctx context.Context, term Terminal, table []service.Spec) error {
	s, err := newStack(table, term)
	if err != nil {
		return err
	}
	data, err := c.dir()
	if err != nil {
		return err
	}
	warnUnknown(table, term.Environ, s.log)
	s.data, s.listen, s.context = data, c.Listen, c.Context
	return s.run(ctx, func(up running) {
		fmt.Fprintf(term.Stderr, "The bus is up: data in %s, NATS on %s.\n", data, up.url)
		if up.admin != "" {
			fmt.Fprintf(term.Stderr, "Health and metrics: http://%s/readyz and /metrics\n", up.admin)
		}
		for _, note := range up.host.Notes() {
			fmt.Fprintln(term.Stderr, note)
		}
		printLook(term.Stderr, up)
	})
}

// printLook says how to look at a running bus.
func printLook(w io.Writer, up running) {
	fmt.Fprintf(w, "Watch it live with the nats command, as a read-only identity:\n  nats --context %s sub 'security.>'\n", contextName(up.context))
	fmt.Fprintf(w, "  nats --server %s --nkey %s --inbox-prefix %s sub 'security.>'\n", up.url, up.tailSeed, bus.InboxPrefix(bus.RoleTail))
}

func contextName(file string) string {
	base := filepath.Base(file)
	return base[:len(base)-len(filepath.Ext(base))]
}

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
	data      string // data directory
	listen    string // host:port of the embedded server
	context   string // name of the nats command's context to write
	stdout    *os.File
	log       *slog.Logger
	admin     config.Admin
	retention Retention
	layout    service.Layout
	starts    []service.Start
}

// running describes a stack that is up.
type running struct {
	url      string
	admin    string // host:port, empty if switched off
	context  string // file of the nats command's context
	tailSeed string // file with the seed of the tail role
	host     *service.Host
}

// newStack reads the settings of all services, so that all faults show at once.
func newStack(table []service.Spec, term Terminal) (stack, error) {
	var settings struct {
		Log       config.Log
		Admin     config.Admin
		Retention Retention
	}
	d := service.NewDeployment(term.Environ)
	errs := []error{config.Load(&settings, term.Environ)}
	s := stack{stdout: term.Stdout}
	for _, spec := range table {
		if spec.Embed == nil {
			continue
		}
		start, err := spec.Embed(d)
		if start != nil {
			s.starts = append(s.starts, start)
		}
		errs = append(errs, err)
	}
	layout, err := service.Join(table, d)
	if err := config.Join(append(errs, err)...); err != nil {
		return stack{}, err
	}
	if err := settings.Retention.check(layout.Streams); err != nil {
		return stack{}, err
	}
	s.log, s.admin, s.retention, s.layout = daemon.Logger(term.Stderr, settings.Log), settings.Admin, settings.Retention, layout
	return s, nil
}

// run brings the stack up, calls started, and keeps it up until ctx is done or
// a part of it fails.
func (s stack) run(ctx context.Context, started func(running)) (err error) {
	server, ids, err := s.serve()
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

	up.host = &service.Host{
		Data:   s.data,
		Stdout: s.stdout,
		Connect: func(role string) (config.NATS, error) {
			seed, err := os.ReadFile(ids.SeedFile(role))
			if err != nil {
				return config.NATS{}, fmt.Errorf("loading the key of role %s: %w", role, err)
			}
			return config.NATS{URL: up.url, NKeySeed: config.NewSecret(string(seed[:len(seed)-1]))}, nil
		},
	}
	defer up.host.Close()
	tasks := []daemon.Service{{Name: "nats", Run: func(ctx context.Context, rt daemon.Runtime) error {
		server.Register(rt.Metrics)
		return server.Watch(ctx, func(err error) { rt.Ready.Set("store", err) })
	}}}
	for _, start := range s.starts {
		more, err := start(ctx, up.host)
		if err != nil {
			return err
		}
		tasks = append(tasks, more...)
	}
	registry := daemon.NewRegistry()
	rt := daemon.Runtime{Log: s.log, Metrics: registry, Ready: daemon.NewReadiness()}
	if s.admin.Addr != "" {
		admin, err := daemon.ListenAdmin(ctx, s.admin, registry, rt.Ready, s.log)
		if err != nil {
			return err
		}
		up.admin = admin.Addr()
		tasks = append(tasks, daemon.Service{Name: "admin", Run: func(ctx context.Context, _ daemon.Runtime) error { return admin.Run(ctx) }})
	}
	started(up)
	return rt.RunAll(ctx, tasks...)
}

// serve starts the embedded server with an identity for each role.
func (s stack) serve() (*natsd.Server, *natsconf.Identities, error) {
	names := make([]string, len(s.layout.Roles))
	for i, r := range s.layout.Roles {
		names[i] = r.Name
	}
	ids, err := natsconf.LoadOrCreate(keysDir(s.data), names)
	if err != nil {
		return nil, nil, err
	}
	server, err := natsd.Start(natsd.Config{
		Dir:        storeDir(s.data),
		Listen:     s.listen,
		Roles:      s.layout.Roles,
		PublicKeys: ids.PublicKeys(),
		MaxStore:   s.retention.storeLimit(s.layout.Streams),
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
	result, err := conn.Provision(ctx, bus.ProvisionConfig{Streams: s.layout.Streams, Consumers: s.layout.Durables, Limits: s.retention.limits(s.layout.Streams)})
	if err != nil {
		return err
	}
	s.log.Debug("provisioned", "result", result)
	for _, p := range result {
		switch p.Action {
		case "updated":
			s.log.Info("migrated", "kind", p.Kind, "name", p.Name, "changes", p.Changes)
		case "recovered", "removed":
			s.log.Info(p.Action, "kind", p.Kind, "name", p.Name)
		}
	}
	return nil
}
