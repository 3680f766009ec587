package bus_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/bustest"
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
	m := nats.NewMsg(proto.NewSubject(bustest.Host, source, "test", severity).Ingest())
	m.Header.Set(proto.HeaderEventID, id)
	m.Data = []byte(`{"id":"` + id + `"}`)
	return m
}

// messages are n of source's, named 0 to n-1, every third an alert.
func messages(source string, n int) []*nats.Msg {
	msgs := make([]*nats.Msg, n)
	for i := range msgs {
		severity := proto.SeverityInfo
		if i%3 == 2 {
			severity = proto.SeverityHigh
		}
		msgs[i] = message(source, severity, fmt.Sprint(i))
	}
	return msgs
}

func newFence(c *bus.Conn, source string) *bus.Fence {
	return bus.NewFence(c, proto.StreamSecurity, proto.SourceFilter(bustest.Host, source))
}

// armed returns a fence that knows its last message.
func armed(t *testing.T, c *bus.Conn, source string) *bus.Fence {
	t.Helper()
	f := newFence(c, source)
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
