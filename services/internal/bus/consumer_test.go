package bus_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/testing/bustest"
)

const notifier = "notifier"

func bind(t *testing.T, b *bustest.Bus) *bus.Consumer {
	t.Helper()
	return bindOn(t, b.Conn(t, notifier))
}

func bindOn(t *testing.T, c *bus.Conn) *bus.Consumer {
	t.Helper()
	consumer, err := c.Bind(deadlineContext(t), alertStream, proto.DurableNotifierStdout)
	if err != nil {
		t.Fatal(err)
	}
	return consumer
}

// durable is the state of the durable of bind, as the operator sees it; the zero one
// while the bus does not answer.
func durable(t *testing.T, operator *bus.Conn) bus.DurableState {
	t.Helper()
	o, err := operator.Overview(deadlineContext(t))
	if err != nil {
		return bus.DurableState{}
	}
	for _, d := range o.Durables {
		if d.Stream == alertStream && d.Name == proto.DurableNotifierStdout {
			return d
		}
	}
	return bus.DurableState{}
}

// alerts are n of them, named 0 to n-1.
func alerts(n int) []*nats.Msg {
	msgs := make([]*nats.Msg, n)
	for i := range msgs {
		msgs[i] = message(bustest.Tracee, proto.SeverityHigh, fmt.Sprint(i))
	}
	return msgs
}

// fetch fetches until there are n messages.
func fetch(t *testing.T, c *bus.Consumer, n int) []*bus.Msg {
	t.Helper()
	var msgs []*bus.Msg
	for len(msgs) < n {
		more, err := c.Fetch(deadlineContext(t), n-len(msgs))
		if err != nil {
			t.Fatal(err)
		}
		msgs = append(msgs, more...)
	}
	return msgs
}

func ids(msgs []*bus.Msg) string {
	var ids []string
	for _, m := range msgs {
		ids = append(ids, m.Header.Get(proto.HeaderEventID))
	}
	return strings.Join(ids, " ")
}

func acknowledge(t *testing.T, msgs ...*bus.Msg) {
	t.Helper()
	for _, m := range msgs {
		if err := m.DoubleAck(deadlineContext(t)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFetchWaitsForTheFirstMessageOnly(t *testing.T) {
	b := bustest.Start(t)
	c := bind(t, b)
	f := armedAlerts(t, b.Conn(t, bus.ShipperRole(bustest.Tracee)), bustest.Tracee)

	got := make(chan []*bus.Msg)
	go func() {
		msgs, err := c.Fetch(deadlineContext(t), 100)
		if err != nil {
			t.Error(err)
		}
		got <- msgs
	}()
	operator := b.Conn(t, bus.RoleOperator)
	bustest.Eventually(t, "the fetch is waiting", func() bool { return durable(t, operator).Waiting == 1 })
	publish(t, f, alerts(1)...)
	msgs := <-got
	if ids(msgs) != "0" {
		t.Fatalf("fetched %q", ids(msgs))
	}
	if m := msgs[0]; m.Subject != "security.alert.box1.tracee.unknown.high" || string(m.Data) != `{"id":"0"}` || m.Sequence != 1 || m.Deliveries != 1 || m.Stored.IsZero() {
		t.Errorf("fetched %+v", m)
	}
}

func TestFetchRedelivers(t *testing.T) {
	b := bustest.Start(t)
	publish(t, armedAlerts(t, b.Conn(t, bus.ShipperRole(bustest.Tracee)), bustest.Tracee), alerts(5)...)
	c := bind(t, b)
	msgs := fetch(t, c, 5)
	if ids(msgs) != "0 1 2 3 4" {
		t.Fatalf("fetched %q", ids(msgs))
	}
	acknowledge(t, msgs[0], msgs[2])
	if err := msgs[3].InProgress(); err != nil {
		t.Fatal(err)
	}
	if err := msgs[1].Nak(0); err != nil {
		t.Fatal(err)
	}
	again := fetch(t, c, 1)
	if ids(again) != "1" || again[0].Deliveries != 2 {
		t.Errorf("fetched %q, delivery %d", ids(again), again[0].Deliveries)
	}
	p, err := c.Progress(deadlineContext(t))
	if err != nil {
		t.Fatal(err)
	}
	if want := (bus.Progress{Unacked: 3, Redelivered: 1, AckedThrough: 1, Delivered: 6}); p != want {
		t.Errorf("progress %+v, want %+v", p, want)
	}
}

func TestFetchOutlastsRestarts(t *testing.T) {
	b := bustest.Start(t)
	shipper := b.Conn(t, bus.ShipperRole(bustest.Tracee))
	c := bind(t, b)
	got := make(chan string)
	go func() {
		for range 3 {
			msgs, err := c.Fetch(t.Context(), 10)
			if err != nil {
				t.Error(err)
				close(got)
				return
			}
			acknowledge(t, msgs...)
			got <- ids(msgs)
		}
	}()
	for i := range 3 {
		f := bus.NewFence(shipper, alertStream, proto.SourceFilter(bustest.Host, bustest.Tracee))
		bustest.Eventually(t, "publishing works", func() bool {
			if _, err := f.Last(deadlineContext(t)); err != nil {
				return false
			}
			return f.Publish(deadlineContext(t), alerts(i + 1)[i:]) == nil
		})
		if id := <-got; id != fmt.Sprint(i) {
			t.Fatalf("fetched %q, want %d", id, i)
		}
		b.Restart(t)
	}
}

func TestFetchEnds(t *testing.T) {
	remove := "$JS.API.CONSUMER.DELETE." + alertStream + "." + proto.DurableNotifierStdout
	for name, c := range map[string]struct {
		end  func(t *testing.T, b *bustest.Bus, c *bus.Conn, cancel context.CancelFunc)
		want error
	}{
		"with its context": {
			func(_ *testing.T, _ *bustest.Bus, _ *bus.Conn, cancel context.CancelFunc) { cancel() },
			context.Canceled,
		},
		"with its connection": {
			func(_ *testing.T, _ *bustest.Bus, c *bus.Conn, _ context.CancelFunc) { _ = c.Close() },
			bus.ErrClosed,
		},
		"with its durable": {
			func(t *testing.T, b *bustest.Bus, _ *bus.Conn, _ context.CancelFunc) {
				if _, err := b.Raw(t, bus.RoleProvisioner).Request(remove, nil, deadline); err != nil {
					t.Error(err)
				}
			},
			bus.ErrNotProvisioned,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := bustest.Start(t, bustest.Grant(bus.RoleProvisioner, remove))
			conn := b.Conn(t, notifier)
			consumer := bindOn(t, conn)
			operator := b.Conn(t, bus.RoleOperator)
			ctx, cancel := context.WithCancel(deadlineContext(t))
			defer cancel()
			ended := make(chan error)
			go func() {
				_, err := consumer.Fetch(ctx, 1)
				ended <- err
			}()
			bustest.Eventually(t, "the fetch is waiting", func() bool {
				return durable(t, operator).Waiting == 1
			})
			c.end(t, b, conn, cancel)
			if err := <-ended; !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if name == "with its durable" {
				if _, err := consumer.Fetch(ctx, 1); !errors.Is(err, c.want) {
					t.Errorf("another fetch: got %v, want %v", err, c.want)
				}
			}
		})
	}
}

func TestDeadLetter(t *testing.T) {
	b := bustest.Start(t)
	m := message(bustest.Tracee, proto.SeverityHigh, "bad")
	m.Header.Set(proto.HeaderDeadReason, "a lie")
	publish(t, armedAlerts(t, b.Conn(t, bus.ShipperRole(bustest.Tracee)), bustest.Tracee), m)
	w := b.Wire(t, notifier)
	c := bindOn(t, w.Conn)
	msg := fetch(t, c, 1)[0]

	// Without the stream's acknowledgement of the copy, the message stays.
	w.Mute()
	ctx, cancel := context.WithCancel(deadlineContext(t))
	given := make(chan error)
	go func() { given <- msg.DeadLetter(ctx, "no such\nchat") }()
	operator := b.Conn(t, bus.RoleOperator)
	bustest.Eventually(t, "the copy is stored", func() bool { return len(dead(t, operator)) == 1 })
	cancel()
	if err := <-given; !errors.Is(err, bus.ErrMaybeStored) {
		t.Fatalf("got %v", err)
	}
	if d := durable(t, operator); d.Progress.Unacked != 1 {
		t.Fatalf("after a dead letter without acknowledgement: %+v", d)
	}
	w.Cut()
	bustest.Eventually(t, "the dead letter is given", func() bool { return msg.DeadLetter(deadlineContext(t), "no such\nchat") == nil })
	bustest.Eventually(t, "the message is acknowledged", func() bool {
		return durable(t, operator).Progress.AckedThrough == 1
	})
	letters := dead(t, operator)
	got := letters[len(letters)-1]
	for header, want := range map[string]string{
		proto.HeaderDeadReason:     "no such chat",
		proto.HeaderDeadStream:     alertStream,
		proto.HeaderDeadSequence:   "1",
		proto.HeaderDeadSubject:    msg.Subject,
		proto.HeaderDeadConsumer:   proto.DurableNotifierStdout,
		proto.HeaderDeadDeliveries: "1",
		proto.HeaderEventID:        "bad",
		"Nats-Stream-Source":       "",
	} {
		if v := got.Header.Get(header); v != want {
			t.Errorf("%s: %q, want %q", header, v, want)
		}
	}
	if string(got.Data) != `{"id":"bad"}` {
		t.Errorf("payload %q", got.Data)
	}
}

func TestDeadLetterOfTheLargestMessage(t *testing.T) {
	b := bustest.Start(t)
	m := message(bustest.Tracee, proto.SeverityHigh, "bad")
	m.Data = make([]byte, 2<<20-400) // leaves room for a fence's headers and no more
	publish(t, armedAlerts(t, b.Conn(t, bus.ShipperRole(bustest.Tracee)), bustest.Tracee), m)
	msg := fetch(t, bind(t, b), 1)[0]
	if err := msg.DeadLetter(deadlineContext(t), strings.Repeat("long ", 1000)); err != nil {
		t.Fatal(err)
	}
	got := dead(t, b.Conn(t, bus.RoleOperator))[0]
	if reason := got.Header.Get(proto.HeaderDeadReason); len(got.Data) > 0 || !strings.HasPrefix(reason, "(payload of 2096752 bytes left out) long") {
		t.Errorf("%d bytes, reason %q", len(got.Data), reason)
	}
}

func dead(t *testing.T, c *bus.Conn) []*bus.Stored {
	t.Helper()
	var letters []*bus.Stored
	for s, err := range c.History(deadlineContext(t), proto.StreamDead, proto.DeadPrefix+".>", bus.Start{}) {
		if err != nil {
			t.Fatal(err)
		}
		letters = append(letters, s)
	}
	return letters
}

// TestGivenUpFetchesHoldNothingBack ends fetches while messages are under way:
// none may wait for AckWait (30 s) to pass before the next fetch brings it.
func TestGivenUpFetchesHoldNothingBack(t *testing.T) {
	b := bustest.Start(t)
	c := bind(t, b)
	f := armedAlerts(t, b.Conn(t, bus.ShipperRole(bustest.Tracee)), bustest.Tracee)
	const n = 100
	for i := range n {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			msgs, err := c.Fetch(ctx, 10)
			for _, m := range msgs {
				err = errors.Join(err, m.Nak(0))
			}
			if err != nil && !errors.Is(err, context.Canceled) {
				t.Errorf("fetching: %v", err)
			}
		}()
		publish(t, f, message(bustest.Tracee, proto.SeverityHigh, fmt.Sprint(i)))
		cancel()
		<-ended
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	seen := make(map[uint64]bool)
	for len(seen) < n {
		msgs, err := c.Fetch(ctx, n)
		if err != nil {
			t.Fatalf("after %d of %d messages: %v", len(seen), n, err)
		}
		for _, m := range msgs {
			seen[m.Sequence] = true
			if err := m.Ack(); err != nil {
				t.Fatal(err)
			}
		}
	}
}
