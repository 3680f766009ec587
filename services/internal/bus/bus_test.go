package bus_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/testing/bustest"
)

// deadline ends a test that waits for what does not come.
const deadline = 20 * time.Second

func deadlineContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	t.Cleanup(cancel)
	return ctx
}

// message is one of source's, named id. Its class follows from the severity.
func message(source string, severity proto.Severity, id string) *nats.Msg {
	m := nats.NewMsg(proto.NewSubject(bustest.Host, source, "unknown", severity).Ingest())
	m.Header.Set(proto.HeaderEventID, id)
	m.Data = []byte(`{"id":"` + id + `"}`)
	return m
}

// The streams that most tests use.
const (
	eventStream = proto.EventsPrefix + bustest.Tracee
	alertStream = proto.AlertsPrefix + bustest.Tracee
)

// messages are n events of source's, named 0 to n-1, every third of another kind.
func messages(source string, n int) []*nats.Msg {
	msgs := make([]*nats.Msg, n)
	for i := range msgs {
		msgs[i] = message(source, proto.SeverityInfo, fmt.Sprint(i))
		if i%3 == 2 {
			msgs[i].Subject = proto.NewSubject(bustest.Host, source, "other", proto.SeverityInfo).Ingest()
		}
	}
	return msgs
}

// newFence returns a fence for a source's events.
func newFence(c *bus.Conn, source string) *bus.Fence {
	return bus.NewFence(c, proto.EventsStream(source), proto.SourceFilter(bustest.Host, source))
}

// armed returns a fence for a source's events that knows its last message, and
// armedAlerts one for its alerts.
func armed(t *testing.T, c *bus.Conn, source string) *bus.Fence {
	t.Helper()
	return arm(t, newFence(c, source))
}

func armedAlerts(t *testing.T, c *bus.Conn, source string) *bus.Fence {
	t.Helper()
	return arm(t, bus.NewFence(c, proto.AlertsStream(source), proto.SourceFilter(bustest.Host, source)))
}

func arm(t *testing.T, f *bus.Fence) *bus.Fence {
	t.Helper()
	if _, err := f.Last(deadlineContext(t)); err != nil {
		t.Fatal(err)
	}
	return f
}

// publish stores msgs through a fence.
func publish(t *testing.T, f *bus.Fence, msgs ...*nats.Msg) {
	t.Helper()
	if err := f.Publish(deadlineContext(t), msgs); err != nil {
		t.Fatal(err)
	}
}

// lastID is the id of the last message that the fence sees, "" for none.
func lastID(t *testing.T, f *bus.Fence) string {
	t.Helper()
	last, err := f.Last(deadlineContext(t))
	if err != nil {
		t.Fatal(err)
	}
	if last == nil {
		return ""
	}
	return last.Header.Get(proto.HeaderEventID)
}

// What is replayed reaches who listens, and nothing stores it.
func TestBroadcast(t *testing.T) {
	b := bustest.Start(t)
	listener, err := b.Raw(t, bus.RoleTail).SubscribeSync(proto.ReplayPrefix + ".>")
	if err != nil {
		t.Fatal(err)
	}
	replay := b.Conn(t, bus.RoleReplay)
	const subject = proto.ReplayPrefix + ".security.alert.box1.suricata.alert.high"
	bustest.Eventually(t, "the listener hears it", func() bool {
		if err := replay.Broadcast(&nats.Msg{Subject: subject, Data: []byte("again")}); err != nil {
			t.Fatal(err)
		}
		if err := replay.Flush(deadlineContext(t)); err != nil {
			t.Fatal(err)
		}
		m, err := listener.NextMsg(deadline / 100)
		return err == nil && m.Subject == subject && string(m.Data) == "again"
	})
}
