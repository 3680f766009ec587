package torture

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/testing/bustest"
	"github.com/openclaw-security/bus/services/testing/childproc"
)

// The host and the source of all lines.
const (
	host   = bustest.Host
	source = bustest.Suricata
)

// startTimeout bounds how long a process may take to come up.
const startTimeout = 30 * time.Second

// pipeline is the shipper and the server, each in a process of its own.
type pipeline struct {
	log     childproc.Log
	shipper childproc.Process
	server  *bustest.Server

	operator, tail *bus.Conn

	mu    sync.Mutex
	admin string // address that the shipper at work serves; "" if not known
}

var _ target = (*pipeline)(nil)

// startPipeline starts both and provisions the bus. They end with the test.
func startPipeline(t *testing.T, path string) *pipeline {
	t.Helper()
	p := new(pipeline)
	var err error
	if p.server, err = bustest.StartServer(t.TempDir(), &p.log); err != nil {
		t.Fatal(err)
	}
	p.server.EndWith(t)
	if err := p.server.Provision(t.Context(), bus.ProvisionConfig{}); err != nil {
		t.Fatalf("provisioning the bus: %v", err)
	}
	p.operator, p.tail = p.server.Conn(t, bus.RoleOperator), p.server.Conn(t, bus.RoleTail)
	p.shipper = childproc.Process{
		Role: roleShipper, Log: &p.log, Stderr: p.logged,
		Env: append(p.server.Environ(bus.ShipperRole(source)),
			"ADMIN_ADDR=127.0.0.1:0", "LOG_FORMAT=json", "SHIPPER_SOURCE="+source, "SHIPPER_PATH="+path),
	}
	p.shipper.Run(t)
	return p
}

// logged looks for the address that the shipper serves.
func (p *pipeline) logged(line string) {
	var entry struct {
		Admin string `json:"admin_addr"`
	}
	if json.Unmarshal([]byte(line), &entry) == nil && entry.Admin != "" {
		p.setAdmin(entry.Admin)
	}
}

// do implements target.
func (p *pipeline) do(a act) error {
	switch a {
	case stopReader:
		return p.shipper.Kill()
	case stopStore:
		return p.server.Kill()
	case startReader:
		p.setAdmin("")
		return p.shipper.Start()
	default:
		if err := p.server.Start(); err != nil {
			return err
		}
		_, err := p.server.Ready()
		return err
	}
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

// stored implements target.
func (p *pipeline) stored(ctx context.Context) (int, error) {
	n := 0
	for _, stream := range pair {
		last, err := p.operator.LastMessages(ctx, stream)
		if err != nil {
			return 0, err
		}
		if m := last[proto.SourceFilter(host, source)]; m != nil {
			n += int(m.Sequence) // nothing else is stored, and nothing deleted
		}
	}
	return n, nil
}

// pair are the streams of the source, the checkpoint of which they are together.
var pair = []string{proto.AlertsStream(source), proto.EventsStream(source)}

// inOrder yields what both streams hold, in the order of rounds and of places in them.
// It is an error if one of the streams by itself is in another order.
func (p *pipeline) inOrder(ctx context.Context) iter.Seq2[*bus.Stored, error] {
	return func(yield func(*bus.Stored, error) bool) {
		var next [2]func() (*bus.Stored, error, bool)
		var heads [2]*bus.Stored
		for i, stream := range pair {
			var stop func()
			next[i], stop = iter.Pull2(p.tail.History(ctx, stream, proto.SourceFilter(host, source), bus.Start{}))
			defer stop()
		}
		advance := func(i int) error {
			m, err, ok := next[i]()
			if !ok {
				heads[i] = nil
				return nil
			}
			if err == nil && heads[i] != nil && comparePlaces(m, heads[i]) <= 0 {
				err = fmt.Errorf("message %d of %s is out of order", m.Sequence, m.Stream)
			}
			heads[i] = m
			return err
		}
		for i := range heads {
			if err := advance(i); err != nil {
				yield(nil, err)
				return
			}
		}
		for heads[0] != nil || heads[1] != nil {
			i := 0
			if heads[0] == nil || heads[1] != nil && comparePlaces(heads[1], heads[0]) < 0 {
				i = 1
			}
			if !yield(heads[i], nil) {
				return
			}
			if err := advance(i); err != nil {
				yield(nil, err)
				return
			}
		}
	}
}

// comparePlaces orders messages of a source by round and place in it.
func comparePlaces(a, b *bus.Stored) int {
	at := func(m *bus.Stored) (round, place int) {
		round, _ = strconv.Atoi(m.Header.Get(proto.HeaderRound))
		_, _ = fmt.Sscanf(m.Header.Get(proto.HeaderPlace), "%d/", &place)
		return round, place
	}
	ra, pa := at(a)
	rb, pb := at(b)
	return cmp.Or(ra-rb, pa-pb)
}

// records implements target.
func (p *pipeline) records(ctx context.Context) iter.Seq2[record, error] {
	return func(yield func(record, error) bool) {
		for m, err := range p.inOrder(ctx) {
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
			r := record{id: m.Header.Get(proto.HeaderEventID), in: slices.Index(pair, m.Stream), text: e.Raw, gap: e.Gap}
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
//
// A publish whose acknowledgement a killed server has not sent is given up after ten
// seconds, and each of the two streams may meet that.
func (p *pipeline) patience() time.Duration { return 30 * time.Second }

// story implements target.
func (p *pipeline) story() string { return p.log.String() }
