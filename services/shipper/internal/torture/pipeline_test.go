package torture

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/natsconf"
)

const source = "suricata"

// startTimeout bounds how long a process may take to come up.
const startTimeout = 30 * time.Second

// pipeline is the shipper and the server, each in a process of its own.
type pipeline struct {
	t      *testing.T
	path   string // what the shipper follows
	log    *transcript
	ids    *natsconf.Identities
	server serverTask

	shipperProcess, serverProcess *process
	operator, tail                *bus.Conn

	mu    sync.Mutex
	admin string // address that the shipper at work serves; "" if not known
	pid   int    // of the shipper at work
}

var _ target = (*pipeline)(nil)

// startPipeline starts both and provisions the bus. They end with the test.
func startPipeline(t *testing.T, path string) *pipeline {
	t.Helper()
	dir := t.TempDir()
	p := &pipeline{t: t, path: path, log: new(transcript)}
	p.server = serverTask{Keys: filepath.Join(dir, "keys"), Store: filepath.Join(dir, "nats")}
	var err error
	if p.ids, err = loadIdentities(p.server.Keys); err != nil {
		t.Fatal(err)
	}
	if p.server.Listen, err = freeAddress(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.end)
	if err := p.do(startStore); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	if _, err := p.connect(bus.RoleProvisioner).Provision(ctx, bus.Plan{}); err != nil {
		t.Fatalf("provisioning the bus: %v", err)
	}
	p.operator, p.tail = p.connect(bus.RoleOperator), p.connect(bus.RoleTail)
	if err := p.do(startReader); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *pipeline) url() string { return "nats://" + p.server.Listen }

func (p *pipeline) connect(role string) *bus.Conn {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), startTimeout)
	defer cancel()
	key, err := natsconf.LoadSeed(p.ids.SeedFile(role))
	if err != nil {
		p.t.Fatal(err)
	}
	conn, err := bus.Connect(ctx, bus.Options{URL: p.url(), Role: role, Key: key})
	if err != nil {
		p.t.Fatal(err)
	}
	// Not an error of the test: the server may have been killed before.
	p.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// end kills what still runs.
func (p *pipeline) end() {
	for _, running := range []*process{p.shipperProcess, p.serverProcess} {
		if running != nil {
			_ = running.kill() // it may have ended, which another place tells
		}
	}
}

// do implements target.
func (p *pipeline) do(a act) error {
	switch a {
	case stopReader:
		if err := p.shipperProcess.kill(); err != nil {
			return fmt.Errorf("killing the shipper: %w", err)
		}
	case stopStore:
		if err := p.serverProcess.kill(); err != nil {
			return fmt.Errorf("killing the server: %w", err)
		}
	case startReader:
		return p.startShipper()
	case startStore:
		return p.startServer()
	}
	return nil
}

func (p *pipeline) startServer() error {
	job, err := json.Marshal(p.server)
	if err != nil {
		return err
	}
	up := make(chan struct{})
	p.serverProcess, err = spawn(roleServer, func(line string) {
		if line == serving {
			close(up)
		}
	}, p.log.writer(roleServer), taskKey+"="+string(job))
	if err != nil {
		return err
	}
	select {
	case <-up:
		return nil
	case <-p.serverProcess.ended:
		return fmt.Errorf("starting the server: it %w: %s", errEnded, p.serverProcess.cmd.ProcessState)
	case <-time.After(startTimeout):
		return fmt.Errorf("starting the server: not ready after %s", startTimeout)
	}
}

func (p *pipeline) startShipper() error {
	key, err := natsconf.LoadSeed(p.ids.SeedFile(bus.ShipperRole(source)))
	if err != nil {
		return err
	}
	seed, err := key.Seed()
	if err != nil {
		return fmt.Errorf("reading the shipper's seed: %w", err)
	}
	p.setAdmin("")
	log := &lineWriter{take: func(line string) {
		var entry struct {
			Admin string `json:"admin_addr"`
		}
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Admin != "" {
			p.setAdmin(entry.Admin)
		}
		p.log.add(roleShipper + ": " + line)
	}}
	p.shipperProcess, err = spawn(roleShipper, nil, log,
		"ADMIN_ADDR=127.0.0.1:0",
		"LOG_FORMAT=json",
		"NATS_URL="+p.url(),
		"NATS_NKEY_SEED="+string(seed),
		"OPENCLAW_HOST="+host,
		"SHIPPER_SOURCE="+source,
		"SHIPPER_PATH="+p.path,
	)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pid = p.shipperProcess.cmd.Process.Pid
	return nil
}

func (p *pipeline) setAdmin(address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.admin = address
}

func (p *pipeline) adminAddress() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.admin
}

func (p *pipeline) shipperPID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pid
}

// stored implements target.
func (p *pipeline) stored(ctx context.Context) (int, error) {
	last, err := p.operator.LastMessages(ctx, proto.StreamSecurity)
	if err != nil {
		return 0, err
	}
	if m := last[proto.SourceFilter(host, source)]; m != nil {
		return int(m.Sequence), nil // nothing else is stored, and nothing deleted
	}
	return 0, nil
}

// records implements target.
func (p *pipeline) records(ctx context.Context) iter.Seq2[record, error] {
	return func(yield func(record, error) bool) {
		for m, err := range p.tail.History(ctx, proto.StreamSecurity, proto.SourceFilter(host, source), bus.Start{}) {
			if err != nil {
				yield(record{}, err)
				return
			}
			var e struct {
				Kind string          `json:"kind"`
				Gap  *proto.Gap      `json:"gap"`
				Line *proto.Line     `json:"line"`
				Raw  json.RawMessage `json:"raw"`
			}
			if err := json.Unmarshal(m.Data, &e); err != nil {
				yield(record{}, fmt.Errorf("reading message %d: %w", m.Sequence, err))
				return
			}
			r := record{id: m.Header.Get(proto.HeaderEventID), text: e.Raw, gap: e.Gap}
			if e.Line != nil {
				r.text = []byte(e.Line.Text)
			}
			if !yield(r, nil) {
				return
			}
		}
	}
}

// patience implements target: more than the longest wait before the shipper
// tries again.
func (p *pipeline) patience() time.Duration { return 10 * time.Second }

// story implements target.
func (p *pipeline) story() string { return p.log.String() }
