package bus_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/testing/bustest"
)

// events is a stream of a source's events, which a test writes as they are stored.
func events(source string) proto.Stream {
	return proto.Stream{
		Name: proto.EventsStream(source), Subjects: []string{"security.event.box1." + source + ".>"},
		MaxAge: time.Hour, MaxBytes: 1 << 20, Discard: proto.DiscardOld,
	}
}

func contains(names []string, wanted ...string) bool {
	return !slices.ContainsFunc(wanted, func(name string) bool { return !slices.Contains(names, name) })
}

// Readers of several streams read those that they may: the stream of a source that is
// not configured any more, to which nobody has a right, is left out.
func TestReadersOfSeveralStreams(t *testing.T) {
	gone := events("gone")
	b := bustest.Start(t,
		bustest.Streams(events("a"), events("b")),
		bustest.Provision(bus.ProvisionConfig{Streams: []proto.Stream{gone}}),
		bustest.Grant(bus.RoleProvisioner, append(bus.GrantCreate(gone.Name), "security.>")...),
	)
	writer := b.Conn(t, bus.RoleProvisioner)
	for i, source := range []string{"b", "gone", "a", "b", "a"} {
		m := nats.NewMsg("security.event.box1." + source + ".unknown.info")
		m.Header.Set(proto.HeaderEventID, fmt.Sprint(i))
		if err := writer.Publish(deadlineContext(t), m); err != nil {
			t.Fatal(err)
		}
	}
	tail, operator := b.Conn(t, bus.RoleTail), b.Conn(t, bus.RoleOperator)
	streams, err := tail.SecurityStreams(deadlineContext(t))
	if want := []string{"EVENTS_a", "EVENTS_b", "EVENTS_gone"}; err != nil || !contains(streams, want...) {
		t.Fatalf("streams %v, %v", streams, err)
	}
	var ids []string
	for m, err := range tail.MergedHistory(deadlineContext(t), streams, "security.>", bus.Start{}) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, m.Header.Get(proto.HeaderEventID))
	}
	if !slices.Equal(ids, []string{"0", "2", "3", "4"}) {
		t.Errorf("history %v", ids)
	}
	for _, err := range tail.History(deadlineContext(t), gone.Name, "security.>", bus.Start{}) {
		if err == nil {
			t.Error("a stream by itself can be read without the right to")
		}
	}
	received := followAll(t, tail, bus.Start{}, tail.SecurityStreams)
	for _, want := range []string{"0", "2", "3", "4"} {
		if id := <-received; id != want {
			t.Errorf("followed %s, want %s", id, want)
		}
	}

	o, err := operator.Overview(deadlineContext(t))
	if err != nil || !contains(o.Security(), "EVENTS_a", "EVENTS_b", eventStream, alertStream) || slices.Contains(o.Security(), gone.Name) || !slices.Contains(o.Alerts(), alertStream) {
		t.Fatalf("security %v, alerts %v, %v", o.Security(), o.Alerts(), err)
	}
	i := slices.IndexFunc(o.Streams, func(s bus.StreamState) bool { return s.Name == gone.Name })
	if i < 0 || o.Streams[i].Err == nil {
		t.Errorf("the overview says nothing of a stream that the role has no right to: %+v", o.Streams)
	}
	last, err := operator.LastIn(deadlineContext(t), streams, "security.*.*.*.unknown.>")
	if err != nil || last == nil || last.Header.Get(proto.HeaderEventID) != "4" {
		t.Errorf("the last is %v, %v", last, err)
	}
	bySource, err := operator.LastMessages(deadlineContext(t), streams...)
	if err != nil || len(bySource) != 2 || bySource["security.*.box1.b.>"].Header.Get(proto.HeaderEventID) != "3" {
		t.Errorf("by source: %v, %v", bySource, err)
	}
}
