package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/natsconf"
	"github.com/openclaw-security/bus/services/internal/natsd"
	"github.com/openclaw-security/bus/services/shipper"
)

const (
	host        = "bench"
	serverDir   = "BENCHSHIPPER_SERVER_DIR"
	serverAddr  = "BENCHSHIPPER_SERVER_ADDR"
	patience    = 30 * time.Second
	sourceBench = shipper.SourceSuricata
)

func roles() []bus.Role { return bus.Roles(host, []string{sourceBench}) }

func identities(dir string) (*natsconf.Identities, error) {
	var names []string
	for _, r := range roles() {
		names = append(names, r.Name)
	}
	return natsconf.LoadOrCreate(filepath.Join(dir, "keys"), names)
}

// serve is the server process.
func serve(ctx context.Context) error {
	dir := os.Getenv(serverDir)
	ids, err := identities(dir)
	if err != nil {
		return err
	}
	s, err := natsd.Start(natsd.Config{
		Dir:        filepath.Join(dir, "nats"),
		Listen:     os.Getenv(serverAddr),
		Roles:      roles(),
		PublicKeys: ids.PublicKeys(),
	})
	if err != nil {
		return err
	}
	<-ctx.Done()
	end, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return s.Shutdown(end)
}

// system is a server process and the means to talk to it.
type system struct {
	dir     string
	url     string
	ids     *natsconf.Identities
	process *process
}

// newSystem starts a server process on a fresh directory and provisions it.
func newSystem(dir string) (*system, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	ids, err := identities(dir)
	if err != nil {
		return nil, err
	}
	p, err := start("server", dir, serverDir+"="+dir, serverAddr+"="+addr)
	if err != nil {
		return nil, err
	}
	s := &system{dir: dir, url: "nats://" + addr, ids: ids, process: p}
	conn, err := s.connect(bus.RoleProvisioner)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if _, err := conn.Provision(context.Background(), bus.Plan{}); err != nil {
		return nil, err
	}
	return s, nil
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func (s *system) connect(role string) (*bus.Conn, error) {
	key, err := natsconf.LoadSeed(s.ids.SeedFile(role))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return bus.Connect(ctx, bus.Options{URL: s.url, Role: role, Key: key})
}

// environ is what a publisher process needs to know.
func (s *system) environ(path string) []string {
	return []string{
		"NATS_URL=" + s.url,
		"NATS_NKEY_SEED_FILE=" + s.ids.SeedFile(bus.ShipperRole(sourceBench)),
		"OPENCLAW_HOST=" + host,
		"SHIPPER_SOURCE=" + sourceBench,
		"SHIPPER_PATH=" + path,
		"ADMIN_ADDR=",
		"LOG_LEVEL=warn",
	}
}

func (s *system) stop() error {
	if _, err := s.process.stop(); err != nil {
		return fmt.Errorf("stopping the server: %w", err)
	}
	return nil
}
