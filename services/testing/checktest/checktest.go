// Package checktest is for tests of what secbus doctor and the services' own
// checks find: a bus on which the test plays every service, and what must be
// found there.
package checktest

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/check"
	"github.com/openclaw-security/bus/services/testing/bustest"
)

// Wanted is what one finding must be.
type Wanted struct {
	subject string
	state   check.State
	part    string
}

// Want is a finding with that text in it.
func Want(subject string, state check.State, part string) Wanted {
	return Wanted{subject, state, part}
}

// Compare compares all that was found with what must be.
func Compare(t testing.TB, found []check.Finding, wants ...Wanted) {
	t.Helper()
	for i, f := range found {
		if i >= len(wants) {
			t.Errorf("unexpected: %+v", f)
			continue
		}
		if w := wants[i]; f.Subject != w.subject || f.State != w.state || !strings.Contains(f.Text, w.part) {
			t.Errorf("found %+v\nwant %+v", f, w)
		}
	}
	if len(found) < len(wants) {
		t.Errorf("%d findings, want %d; missing %+v", len(found), len(wants), wants[len(found)])
	}
}

// Rig is a bus on which the test plays every service.
type Rig struct {
	*bustest.Bus
	Conn  *bus.Conn // the operator's
	t     testing.TB
	roles map[string]*nats.Conn
}

// New starts a bus for the time of a test.
func New(t testing.TB, opts ...bustest.Option) *Rig {
	t.Helper()
	b := bustest.Start(t, opts...)
	return &Rig{Bus: b, Conn: b.Conn(t, bus.RoleOperator), t: t, roles: make(map[string]*nats.Conn)}
}

// Store publishes v as JSON in a role's name and waits until it is stored.
func (r *Rig) Store(role, subject string, v any, header nats.Header) {
	r.t.Helper()
	if r.roles[role] == nil {
		r.roles[role] = r.Raw(r.t, role)
	}
	data, err := json.Marshal(v)
	if err != nil {
		r.t.Fatal(err)
	}
	reply, err := r.roles[role].RequestMsg(&nats.Msg{Subject: subject, Data: data, Header: header}, 10*time.Second)
	if err != nil || strings.Contains(string(reply.Data), `"error"`) {
		r.t.Fatalf("publishing to %s: %v %s", subject, err, reply.Data)
	}
}

// Event stores an event of a source in a role's name, published by one process of
// it. The optional change is made before.
func (r *Rig) Event(role, source, kind string, severity proto.Severity, instance string, change func(*proto.Event)) {
	r.t.Helper()
	e := &proto.Event{ID: "1", Time: time.Now().UTC(), Host: bustest.Host, Source: source, Kind: kind}
	e.SetSeverity(severity)
	if change != nil {
		change(e)
	}
	r.Store(role, e.Subject().Ingest(), e, nats.Header{proto.HeaderInstance: {instance}})
}

// Read returns the bus as the checks find it when the server's clock is ahead by
// so much, which makes all that is stored older.
func (r *Rig) Read(ahead time.Duration) *check.Bus {
	r.t.Helper()
	b, err := check.ReadBus(r.t.Context(), r.Conn, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	b.Ahead += ahead
	return b
}
