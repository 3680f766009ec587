package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/openclaw-security/bus/services/auditor"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/daemon"
	"github.com/openclaw-security/bus/services/internal/natsconf"
	"github.com/openclaw-security/bus/services/internal/natsd"
)

// The processes.
const (
	roleServer  = "server"
	roleAuditor = "auditor"
)

// Settings of the server process.
const (
	serverDir  = "BENCHAUDITOR_SERVER_DIR"
	serverAddr = "BENCHAUDITOR_SERVER_ADDR"
)

const patience = 30 * time.Second

// child is a process of the bench, and returns its exit code.
func child(role string) int {
	if role == roleAuditor {
		return daemon.Program[auditor.Config]{Name: roleAuditor, Run: auditor.Run}.Main(nil)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := serve(ctx, os.Getenv(serverDir), os.Getenv(serverAddr)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func serve(ctx context.Context, dir, addr string) error {
	ids, err := identities(dir)
	if err != nil {
		return err
	}
	s, err := natsd.Start(natsd.Config{Dir: filepath.Join(dir, "nats"), Listen: addr, Roles: bus.Roles(host, nil), PublicKeys: ids.PublicKeys()})
	if err != nil {
		return err
	}
	<-ctx.Done()
	end, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return s.Shutdown(end)
}

func identities(dir string) (*natsconf.Identities, error) {
	var names []string
	for _, r := range bus.Roles(host, nil) {
		names = append(names, r.Name)
	}
	return natsconf.LoadOrCreate(filepath.Join(dir, "keys"), names)
}

// process is a child at work.
type process struct {
	cmd    *exec.Cmd
	stderr bytes.Buffer // to be read once it has ended
	ended  chan error
}

func start(role string, environ ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.Command(self), ended: make(chan error, 1)}
	p.cmd.Env = append(append(os.Environ(), environ...), childRole+"="+role)
	p.cmd.Stderr = &p.stderr
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the %s process: %w", role, err)
	}
	go func() { p.ended <- p.cmd.Wait() }()
	return p, nil
}

// stop interrupts the process and waits for its end.
func (p *process) stop() error {
	// One that has ended already says so below.
	_ = p.cmd.Process.Signal(os.Interrupt)
	if err := <-p.ended; err != nil {
		return fmt.Errorf("a process ended with %w\n%s", err, p.stderr.String())
	}
	return nil
}

// system is a server process and the means to talk to it.
type system struct {
	dir, url string
	ids      *natsconf.Identities
	server   *process
}

// newSystem starts a server process on a fresh directory and provisions it.
func newSystem(ctx context.Context, dir string) (*system, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		return nil, err
	}
	s := &system{dir: dir, url: "nats://" + addr}
	if s.ids, err = identities(dir); err != nil {
		return nil, err
	}
	if s.server, err = start(roleServer, serverDir+"="+dir, serverAddr+"="+addr); err != nil {
		return nil, err
	}
	if err := s.provision(ctx); err != nil {
		return nil, errors.Join(err, s.server.stop())
	}
	return s, nil
}

func (s *system) provision(ctx context.Context) error {
	conn, err := s.connect(ctx, bus.RoleProvisioner)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Provision(ctx, bus.Plan{})
	return err
}

func (s *system) connect(ctx context.Context, role string) (*bus.Conn, error) {
	key, err := natsconf.LoadSeed(s.ids.SeedFile(role))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return bus.Connect(ctx, bus.Options{URL: s.url, Role: role, Key: key})
}

func (s *system) logDir() string { return filepath.Join(s.dir, "audit") }

func (s *system) auditorEnviron() []string {
	return []string{
		"NATS_URL=" + s.url, "NATS_NKEY_SEED_FILE=" + s.ids.SeedFile(bus.RoleAuditor), "OPENCLAW_HOST=" + host,
		"AUDIT_DIR=" + s.logDir(), "ADMIN_ADDR=", "LOG_LEVEL=warn",
	}
}
