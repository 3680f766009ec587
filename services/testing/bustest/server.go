package bustest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/natsconf"
	"github.com/openclaw-security/bus/services/internal/natsd"
	"github.com/openclaw-security/bus/services/testing/childproc"
)

// ServerRole is the role that [Server]'s process plays, by [Serve]. The binary's
// [childproc.Main] must know it.
const ServerRole = "nats-server"

// Server is a NATS server like [Bus]'s, in a process of its own which can be
// killed. Its address and its data stay the same over a restart. A restart does
// not wait until clients can connect, as [bus.Connect] does that.
type Server struct {
	childproc.Process
	task serverTask
	ids  *natsconf.Identities
}

// serverTask tells the process what to serve.
type serverTask struct {
	Dir      string
	Listen   string // host:port
	Durables []proto.Consumer
}

func (s serverTask) roles() []bus.Role { return Roles(s.Durables...) }

func (s serverTask) store() string { return filepath.Join(s.Dir, "nats") }

func (s serverTask) identities() (*natsconf.Identities, error) {
	var names []string
	for _, r := range s.roles() {
		names = append(names, r.Name)
	}
	return natsconf.LoadOrCreate(filepath.Join(s.Dir, "keys"), names)
}

// Serve is what the process of a [Server] does.
func Serve() int {
	return childproc.Func(func(ctx context.Context) error {
		var task serverTask
		if err := childproc.Task(&task); err != nil {
			return err
		}
		ids, err := task.identities()
		if err != nil {
			return err
		}
		s, err := natsd.Start(natsd.Config{
			Dir:        task.store(),
			Listen:     task.Listen,
			Roles:      task.roles(),
			PublicKeys: ids.PublicKeys(),
			Log:        slog.New(slog.NewTextHandler(os.Stderr, nil)),
		})
		if err != nil {
			return err
		}
		fmt.Println("ready")
		<-ctx.Done()
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
		defer cancel()
		return s.Shutdown(end)
	})()
}

// StartServer starts a server with its keys and its data in dir. The roles have
// their rights to the durables of sinks. Log may be nil.
func StartServer(dir string, log *childproc.Log, durables ...proto.Consumer) (*Server, error) {
	task := serverTask{Dir: dir, Durables: durables}
	ids, err := task.identities()
	if err != nil {
		return nil, err
	}
	for range 5 {
		if task.Listen, err = freeAddress(); err != nil {
			return nil, err
		}
		s := &Server{Process: childproc.Process{Role: ServerRole, Task: task, Log: log}, task: task, ids: ids}
		if err = s.Start(); err != nil {
			return nil, err
		}
		if _, err = s.Ready(); err == nil {
			return s, nil
		}
		s.End()
		if !strings.Contains(err.Error(), "address already in use") {
			break
		}
	}
	return nil, err
}

// RunServer starts a server that ends with the test, without streams and durables.
func RunServer(t testing.TB, durables ...proto.Consumer) *Server {
	t.Helper()
	s, err := StartServer(t.TempDir(), nil, durables...)
	if err != nil {
		t.Fatal(err)
	}
	s.EndWith(t)
	return s
}

// Store is the server's directory.
func (s *Server) Store() string { return s.task.store() }

// URL is where clients connect.
func (s *Server) URL() string { return "nats://" + s.task.Listen }

// Environ are the settings of a service that connects as a role.
func (s *Server) Environ(role string) []string {
	return []string{"OPENCLAW_HOST=" + Host, "NATS_URL=" + s.URL(), "NATS_NKEY_SEED_FILE=" + s.ids.SeedFile(role)}
}

// Connect connects as a role.
func (s *Server) Connect(ctx context.Context, role string) (*bus.Conn, error) {
	key, err := natsconf.LoadSeed(s.ids.SeedFile(role))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return bus.Connect(ctx, bus.Options{URL: s.URL(), Role: role, Key: key})
}

// Provision makes the streams and durables, those of production's sources included;
// without any durables in the config, those of [Consumers].
func (s *Server) Provision(ctx context.Context, config bus.ProvisionConfig) error {
	conn, err := s.Connect(ctx, bus.RoleProvisioner)
	if err != nil {
		return err
	}
	if config.Consumers == nil {
		config.Consumers = Consumers()
	}
	config.Streams = append(SourceStreams(), config.Streams...)
	_, err = conn.Provision(ctx, config)
	return errors.Join(err, conn.Close())
}

// Conn connects as a role until the test ends.
func (s *Server) Conn(t testing.TB, role string) *bus.Conn {
	t.Helper()
	c, err := s.Connect(t.Context(), role)
	if err != nil {
		t.Fatalf("connecting as role %s: %v", role, err)
	}
	t.Cleanup(func() { _ = c.Close() }) // the server may be gone
	return c
}

// freeAddress returns an address of the loopback interface that is free now and
// likely to stay so while its server is away: its port is below those that
// systems give to outgoing connections.
func freeAddress() (string, error) {
	var err error
	for range 100 {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(20_000+rand.IntN(10_000)))
		var l net.Listener
		if l, err = net.Listen("tcp", address); err == nil {
			return address, l.Close()
		}
	}
	return "", err
}
