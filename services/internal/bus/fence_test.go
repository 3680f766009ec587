package bus_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/testing/bustest"
)

func TestFenceStoresInOrder(t *testing.T) {
	b := bustest.Start(t)
	f := newFence(b.Conn(t, bus.ShipperRole(bustest.Tracee)), bustest.Tracee)
	if got := lastID(t, f); got != "" {
		t.Fatalf("last message of an empty stream: %q", got)
	}
	msgs := messages(bustest.Tracee, 40)
	publish(t, f, msgs[0])
	publish(t, f, msgs[1:30]...) // one batch over both classes
	publish(t, f, msgs[30])
	publish(t, f, msgs[31:]...)

	var got []string
	for s, err := range b.Conn(t, bus.RoleTail).History(deadlineContext(t), eventStream, proto.StoredPrefix+".>", bus.Start{}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, s.Subject+" "+s.Header.Get(proto.HeaderEventID))
	}
	var want []string
	for i, m := range msgs {
		want = append(want, strings.Replace(m.Subject, proto.IngestPrefix, proto.StoredPrefix, 1)+fmt.Sprintf(" %d", i))
	}
	if !slices.Equal(got, want) {
		t.Errorf("stored\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestFenceStopsTheSecondWriter(t *testing.T) {
	b := bustest.Start(t)
	role := bus.ShipperRole(bustest.Tracee)
	first, second := armed(t, b.Conn(t, role), bustest.Tracee), armed(t, b.Conn(t, role), bustest.Tracee)
	other := armed(t, b.Conn(t, bus.ShipperRole(bustest.Suricata)), bustest.Suricata)
	msgs := messages(bustest.Tracee, 6)

	for name, attempt := range map[string][]*nats.Msg{"single": msgs[2:3], "batch": msgs[2:5]} {
		t.Run(name, func(t *testing.T) {
			lastID(t, first)
			lastID(t, second)
			publish(t, first, msgs[0])
			publish(t, other, message(bustest.Suricata, proto.SeverityInfo, "other")) // is nobody's rival
			publish(t, first, msgs[1])

			if err := second.Publish(deadlineContext(t), attempt); !errors.Is(err, bus.ErrFenced) {
				t.Fatalf("the second writer gets %v", err)
			}
			if err := second.Publish(deadlineContext(t), attempt); err == nil || errors.Is(err, bus.ErrFenced) {
				t.Errorf("without looking, the second writer then gets %v", err)
			}
			if got := lastID(t, second); got != "1" {
				t.Errorf("the last message is %q", got)
			}
		})
	}
}

func TestFenceAfterALostAcknowledgement(t *testing.T) {
	for name, n := range map[string]int{"single": 1, "batch": 5} {
		t.Run(name, func(t *testing.T) {
			b := bustest.Start(t)
			w := b.Wire(t, bus.ShipperRole(bustest.Tracee))
			watcher := newFence(b.Conn(t, bus.ShipperRole(bustest.Tracee)), bustest.Tracee)
			f := armed(t, w.Conn, bustest.Tracee)
			msgs := messages(bustest.Tracee, n+1)
			newest := msgs[n-1].Header.Get(proto.HeaderEventID)

			w.Mute()
			published := make(chan error, 1)
			go func() { published <- f.Publish(deadlineContext(t), msgs[:n]) }()
			bustest.Eventually(t, "the message is stored", func() bool { return lastID(t, watcher) == newest })
			w.Cut()

			err := <-published
			if !errors.Is(err, bus.ErrMaybeStored) {
				t.Fatalf("a publish without an acknowledgement gives %v", err)
			}
			if err := f.Publish(deadlineContext(t), msgs[:n]); err == nil {
				t.Error("the fence published again without looking")
			}
			bustest.Eventually(t, "the fence sees what it stored", func() bool {
				last, err := f.Last(deadlineContext(t))
				return err == nil && last.Header.Get(proto.HeaderEventID) == newest
			})
			publish(t, f, msgs[n])
		})
	}
}

func TestFenceOutlastsARestart(t *testing.T) {
	b := bustest.Start(t)
	f := armed(t, b.Conn(t, bus.ShipperRole(bustest.Tracee)), bustest.Tracee)
	msgs := messages(bustest.Tracee, 3)
	publish(t, f, msgs[0])
	b.Stop(t)
	if err := f.Publish(deadlineContext(t), msgs[1:2]); err == nil {
		t.Fatal("published without a server")
	}
	b.Restart(t)
	var err error
	bustest.Eventually(t, "publishing works again", func() bool {
		if _, err = f.Last(deadlineContext(t)); err != nil {
			return false
		}
		err = f.Publish(deadlineContext(t), msgs[1:2])
		return err == nil
	})
	publish(t, f, msgs[2])
	if got := lastID(t, f); got != "2" {
		t.Errorf("the last message is %q", got)
	}
}

// When retention has removed the expected message, the server counts that as a
// mismatch; looking again is the way on.
func TestFenceWhenItsLastMessageIsGone(t *testing.T) {
	purge := "$JS.API.STREAM.PURGE." + eventStream
	b := bustest.Start(t, bustest.Grant(bus.RoleProvisioner, purge))
	f := armed(t, b.Conn(t, bus.ShipperRole(bustest.Tracee)), bustest.Tracee)
	msgs := messages(bustest.Tracee, 3)
	publish(t, f, msgs[0])
	if _, err := b.Raw(t, bus.RoleProvisioner).Request(purge, nil, deadline); err != nil {
		t.Fatal(err)
	}
	if err := f.Publish(deadlineContext(t), msgs[1:]); !errors.Is(err, bus.ErrFenced) {
		t.Fatalf("got %v", err)
	}
	if got := lastID(t, f); got != "" {
		t.Fatalf("the last message is %q", got)
	}
	publish(t, f, msgs[1:]...)
}

func TestFenceRefusals(t *testing.T) {
	b := bustest.Start(t, bustest.Provision(bus.ProvisionConfig{Limits: map[string]bus.Limits{proto.StreamAudit: {MaxBytes: 64 << 10}}}))
	c := b.Conn(t, bus.ShipperRole(bustest.Tracee))
	large := func(n, size int) []*nats.Msg {
		msgs := messages(bustest.Tracee, n)
		for _, m := range msgs {
			m.Data = make([]byte, size)
		}
		return msgs
	}
	foreign := messages(bustest.Tracee, 3)
	foreign[1].Subject = proto.NewSubject(bustest.Host, bustest.Suricata, "unknown", proto.SeverityHigh).Ingest()
	var permission *bus.PermissionError
	for name, c := range map[string]struct {
		msgs    []*nats.Msg
		refused func(error) bool
	}{
		"nothing":                   {nil, func(err error) bool { return err != nil }},
		"too many":                  {large(proto.MaxBatch+1, 1), func(err error) bool { return err != nil }},
		"message too large":         {large(1, 2<<20), func(err error) bool { return errors.Is(err, bus.ErrTooLarge) }},
		"batch too large":           {large(9, 1<<20), func(err error) bool { return errors.Is(err, bus.ErrTooLarge) }},
		"another's subject":         {foreign[1:2], func(err error) bool { return errors.As(err, &permission) && permission.Subject == foreign[1].Subject }},
		"another's subject between": {foreign, func(err error) bool { return errors.As(err, &permission) && permission.Subject == foreign[1].Subject }},
	} {
		t.Run(name, func(t *testing.T) {
			f := armed(t, b.Conn(t, bus.ShipperRole(bustest.Tracee)), bustest.Tracee)
			err := f.Publish(deadlineContext(t), c.msgs)
			if !c.refused(err) || errors.Is(err, bus.ErrMaybeStored) {
				t.Fatalf("got %v", err)
			}
			if got := lastID(t, f); got != "" {
				t.Errorf("message %q is stored", got)
			}
		})
	}

	t.Run("largest batch", func(t *testing.T) {
		f := armed(t, c, bustest.Tracee)
		publish(t, f, large(proto.MaxBatch, 7<<10)...)
		publish(t, f, message(bustest.Tracee, proto.SeverityInfo, "next"))
	})
	t.Run("full stream", func(t *testing.T) {
		proxy := b.Conn(t, bus.RoleProxy)
		record := nats.NewMsg(proto.IngestPrefix + ".audit." + bustest.Host + ".proxy.request.info")
		record.Data = make([]byte, 10<<10)
		var err error
		for range 10 {
			if err = proxy.Publish(deadlineContext(t), record); err != nil {
				break
			}
		}
		if !errors.Is(err, bus.ErrNoSpace) {
			t.Errorf("got %v", err)
		}
	})
}
