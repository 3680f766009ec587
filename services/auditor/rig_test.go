package auditor

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/auditor/internal/chain"
	"github.com/openclaw-security/bus/services/internal/audit"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/daemon"
	"github.com/openclaw-security/bus/services/testing/bustest"
)

// auditRecord is the record of a phase of the request with this number, which came in at
// that time and called a tool.
func auditRecord(n int, phase proto.Phase, at time.Time) *proto.Audit {
	id := fmt.Sprintf("request-%06d", n)
	a := &proto.Audit{
		ID: proto.AuditID(id, phase), RequestID: id, Phase: phase, Time: at.UTC(),
		Host: bustest.Host, Source: bus.RoleProxy, Kind: "request", SeverityID: 1, ClassUID: proto.ClassUIDAPIActivity,
		Client: "agent", Method: "POST", Path: "/v1/messages", Operation: "chat", Provider: "anthropic", RequestModel: "claude-sonnet-4-5",
	}
	if phase == proto.PhaseEnd {
		a.Status, a.Decision, a.Duration = 200, proto.DecisionAllowed, 1.5
		a.Usage = &proto.Usage{Input: 1000, Output: 100, Complete: true}
		a.ToolCalls = []proto.ToolCall{{Name: "read", Verdict: proto.DecisionAllowed}}
	}
	return a
}

// text is the JSON of a record, with an answer that long.
func text(t testing.TB, a *proto.Audit, answer int) []byte {
	t.Helper()
	a.Answer = strings.Repeat("x", answer)
	payload, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	return payload
}

// message is a record as the proxy publishes it; an empty id leaves it out.
func message(id string, payload []byte) *nats.Msg {
	m := nats.NewMsg((&proto.Audit{Host: bustest.Host, Source: bus.RoleProxy, Kind: "request"}).Subject().Ingest())
	if id != "" {
		m.Header.Set(proto.HeaderEventID, id)
	}
	m.Data = payload
	return m
}

// requests are the messages of the requests numbered from first on, two of each.
func requests(t testing.TB, first, n, answer int) []*nats.Msg {
	t.Helper()
	msgs := make([]*nats.Msg, 0, 2*n)
	for i := first; i < first+n; i++ {
		for _, phase := range []proto.Phase{proto.PhaseStart, proto.PhaseEnd} {
			a := auditRecord(i, phase, time.Now())
			msgs = append(msgs, message(a.ID, text(t, a, answer)))
		}
	}
	return msgs
}

// rig is a bus, a source of records and a directory for an auditor.
type rig struct {
	t      *testing.T
	bus    *bustest.Bus
	cfg    Config
	reader Reader
	tail   *bus.Conn
	proxy  *bus.Fence
}

func newRig(t *testing.T, opts ...bustest.Option) *rig {
	t.Helper()
	b := bustest.Start(t, opts...)
	dir := filepath.Join(t.TempDir(), "audit")
	r := &rig{
		t: t, bus: b, reader: Reader{Dir: dir, Zone: time.UTC}, tail: b.Conn(t, bus.RoleTail),
		cfg: Config{
			NATS: config.NATS{URL: b.URL(), NKeySeed: config.NewSecret(b.Seed(t, bus.RoleAuditor))},
			Host: bustest.Host, Dir: dir, SegmentBytes: 1 << 20, SignEvery: 20 * time.Millisecond,
		},
		proxy: bus.NewFence(b.Conn(t, bus.RoleProxy), proto.StreamAudit, proto.SourceFilter(bustest.Host, bus.RoleProxy)),
	}
	if _, err := r.proxy.Last(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

// publish stores messages, as many in a batch as are possible.
func (r *rig) publish(msgs ...*nats.Msg) {
	r.t.Helper()
	for len(msgs) > 0 {
		n, size := 0, 0
		for n < min(len(msgs), proto.MaxBatch) && size < bus.MaxBatchBytes/2 {
			size += len(msgs[n].Data)
			n++
		}
		if err := r.proxy.Publish(r.t.Context(), msgs[:n]); err != nil {
			r.t.Fatal(err)
		}
		msgs = msgs[n:]
	}
}

// running is an auditor at work.
type running struct {
	t      *testing.T
	cancel context.CancelFunc
	ended  chan error
	ready  *daemon.Readiness
	counts *prometheus.Registry
}

// start starts the auditor, which ends with the test if stop is not called.
func (r *rig) start() *running {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	rt := daemon.Discard()
	a := &running{t: r.t, cancel: cancel, ended: make(chan error, 1), ready: rt.Ready, counts: prometheus.NewRegistry()}
	rt.Log, rt.Metrics = bustest.Log(r.t), a.counts
	go func() { a.ended <- Run(ctx, r.cfg, rt) }()
	r.t.Cleanup(a.stop)
	return a
}

// stop stops the auditor and wants it to end well.
func (a *running) stop() {
	a.t.Helper()
	if a.cancel == nil {
		return
	}
	a.cancel()
	a.cancel = nil
	if err := <-a.ended; err != nil {
		a.t.Errorf("the auditor ended with %v", err)
	}
}

// count is the present value of a counter.
func (a *running) count(name string) float64 {
	a.t.Helper()
	families, err := a.counts.Gather()
	if err != nil {
		a.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	a.t.Fatalf("there is no counter %s", name)
	return 0
}

// redeliverable gives the provisioner the right that redeliver needs.
func redeliverable() bustest.Option {
	return bustest.Grant(bus.RoleProvisioner, "$JS.API.CONSUMER.DELETE."+proto.StreamAudit+".*")
}

// redeliver makes the durable anew, so that it delivers all of the stream again.
func (r *rig) redeliver() {
	r.t.Helper()
	js, err := jetstream.New(r.bus.Raw(r.t, bus.RoleProvisioner))
	if err != nil {
		r.t.Fatal(err)
	}
	if err := js.DeleteConsumer(r.t.Context(), proto.StreamAudit, proto.DurableAuditor); err != nil {
		r.t.Fatal(err)
	}
	if _, err := r.bus.Conn(r.t, bus.RoleProvisioner).Provision(r.t.Context(), bus.ProvisionConfig{Consumers: []proto.Consumer{proto.AuditConsumer()}}); err != nil {
		r.t.Fatal(err)
	}
}

// settled waits until all that is in the stream has been acknowledged.
func (r *rig) settled() {
	r.t.Helper()
	settled(r.t, r.bus.Conn(r.t, bus.RoleOperator))
}

func settled(t *testing.T, operator *bus.Conn) {
	t.Helper()
	bustest.Eventually(t, "all records are acknowledged", func() bool {
		o, err := operator.Overview(t.Context())
		if err != nil {
			return false
		}
		i := slices.IndexFunc(o.Durables, func(d bus.DurableState) bool { return d.Name == proto.DurableAuditor })
		return i >= 0 && o.Durables[i].Err == nil && o.Durables[i].Progress.Pending == 0 && o.Durables[i].Progress.Unacked == 0
	})
}

// signed waits until there is a checkpoint of this record on the bus.
func (r *rig) signed(seq uint64) {
	r.t.Helper()
	bustest.Eventually(r.t, fmt.Sprintf("record %d is signed on the bus", seq), func() bool {
		all, err := checkpoints(r.t.Context(), r.tail)
		if err != nil {
			r.t.Fatal(err)
		}
		return slices.ContainsFunc(all, func(c chain.Checkpoint) bool { return c.Seq == seq })
	})
}

// verify verifies the log with the bus.
func (r *rig) verify() *Verification {
	r.t.Helper()
	v, err := r.reader.Verify(r.t.Context(), r.tail, VerifyOptions{})
	if err != nil {
		r.t.Fatal(err)
	}
	return v
}

// wantWhole checks that the log holds n records, each of which is in the stream
// too, once and the same.
func wantWhole(t *testing.T, v *Verification, n int) {
	t.Helper()
	if !v.OK() || v.Records != uint64(n) || v.Stream.Compared != n || v.Stream.Waiting != 0 || v.Stream.Checkpoints == 0 {
		t.Fatalf("want %d records, in the log and in the stream: %+v %+v", n, v, v.Stream)
	}
}

// sums are all requests of the index.
func sums(t *testing.T, r Reader) *audit.Report {
	t.Helper()
	report, err := r.Report(t.Context(), audit.ByClient, audit.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// export returns how many records an export of the log has.
func (r *rig) export(schema string) (records int) {
	r.t.Helper()
	for _, err := range r.reader.Export(r.t.Context(), schema, "") {
		if err != nil {
			r.t.Fatal(err)
		}
		records++
	}
	return records
}

// storedRecords are records as the log takes them.
func storedRecords(t testing.TB, all ...*proto.Audit) []chain.Record {
	t.Helper()
	var records []chain.Record
	for _, a := range all {
		records = append(records, chain.Record{ID: a.ID, StreamSeq: 1, Stored: a.Time, Payload: text(t, a, 0)})
	}
	return records
}
