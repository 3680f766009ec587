package bus_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/testing/bustest"
)

func TestHistory(t *testing.T) {
	const remove = "$JS.API.STREAM.MSG.DELETE." + eventStream
	const other = "box2"
	role := bus.ShipperRole(bustest.Tracee)
	b := bustest.Start(t, bustest.Grant(bus.RoleProvisioner, remove), bustest.Grant(role, append(bus.GrantIngest(other, bustest.Tracee, proto.ClassEvent, proto.KindOther), "$JS.API.DIRECT.GET."+eventStream+"."+proto.SourceFilter(other, bustest.Tracee))...))
	tracee := armed(t, b.Conn(t, bus.ShipperRole(bustest.Tracee)), bustest.Tracee)
	second := arm(t, bus.NewFence(b.Conn(t, role), eventStream, proto.SourceFilter(other, bustest.Tracee)))
	ofOther := func(n int) []*nats.Msg {
		msgs := messages(bustest.Tracee, n)
		for _, m := range msgs {
			m.Subject = proto.NewSubject(other, bustest.Tracee, proto.KindOther, proto.SeverityInfo).Ingest()
		}
		return msgs
	}
	// Sequences 1 to 1000 are box1's, 1001 to 1100 box2's, 1101 to 1700 box1's.
	publish(t, tracee, messages(bustest.Tracee, 1000)...)
	publish(t, second, ofOther(100)...)
	publish(t, tracee, messages(bustest.Tracee, 599)...)
	publish(t, tracee, message(bustest.Tracee, proto.SeverityInfo, "last")) // at a time of its own
	admin := b.Raw(t, bus.RoleProvisioner)
	gone := []uint64{1, 2, 3, 256, 257, 512, 800, 1699}
	for _, seq := range gone {
		reply, err := admin.Request(remove, fmt.Appendf(nil, `{"seq":%d}`, seq), deadline)
		var answer struct{ Success bool }
		if err != nil || json.Unmarshal(reply.Data, &answer) != nil || !answer.Success {
			t.Fatalf("deleting message %d: %v, %s", seq, err, reply.Data)
		}
	}
	sequences := func(from, to uint64) []uint64 {
		var seqs []uint64
		for seq := from; seq <= to; seq++ {
			if !slices.Contains(gone, seq) {
				seqs = append(seqs, seq)
			}
		}
		return seqs
	}

	c := b.Conn(t, bus.RoleTail)
	last, err := tracee.Last(deadlineContext(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		filter string
		start  bus.Start
		want   []uint64
	}{
		"all":             {"security.>", bus.Start{}, sequences(1, 1700)},
		"one source":      {"security.*.box1.tracee.>", bus.Start{}, append(sequences(1, 1000), sequences(1101, 1700)...)},
		"another":         {"security.*.box2.tracee.>", bus.Start{}, sequences(1001, 1100)},
		"from a sequence": {"security.>", bus.Start{Sequence: 1500}, sequences(1500, 1700)},
		"from a gap":      {"security.>", bus.Start{Sequence: 1699}, []uint64{1700}},
		"behind the end":  {"security.>", bus.Start{Sequence: 1701}, nil},
		"from a time":     {"security.>", bus.Start{Time: last.Time}, sequences(1700, 1700)},
		"from the future": {"security.>", bus.Start{Time: time.Now().Add(time.Hour)}, nil},
		"of nobody":       {"security.*.box3.>", bus.Start{}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []uint64
			for s, err := range c.History(deadlineContext(t), eventStream, test.filter, test.start) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, s.Sequence)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("%d messages, want %d; first difference at %d", len(got), len(test.want), firstDifference(got, test.want))
			}
		})
	}
	t.Run("what is stored meanwhile", func(t *testing.T) {
		n := 0
		for _, err := range c.History(deadlineContext(t), eventStream, "security.>", bus.Start{Sequence: 1600}) {
			if err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				publish(t, second, ofOther(5)...)
			}
			n++
		}
		if n != 100 {
			t.Errorf("%d messages, want the 100 of the start", n)
		}
	})
	t.Run("of what does not exist", func(t *testing.T) {
		empty := bustest.Start(t, bustest.Unprovisioned())
		for _, err := range empty.Conn(t, bus.RoleTail).History(deadlineContext(t), eventStream, "security.>", bus.Start{}) {
			if err == nil {
				t.Error("a message")
			}
		}
	})
	t.Run("without permission", func(t *testing.T) {
		for _, err := range b.Conn(t, bus.RoleProxy).History(deadlineContext(t), eventStream, "security.>", bus.Start{}) {
			var e *bus.PermissionError
			if !errors.As(err, &e) {
				t.Errorf("got %v", err)
			}
		}
	})
}

func firstDifference(a, b []uint64) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

func TestLastMessages(t *testing.T) {
	b := bustest.Start(t)
	tracee := b.Conn(t, bus.ShipperRole(bustest.Tracee))
	publish(t, armed(t, tracee, bustest.Tracee), messages(bustest.Tracee, 5)...)
	publish(t, armed(t, b.Conn(t, bus.ShipperRole(bustest.Suricata)), bustest.Suricata), messages(bustest.Suricata, 3)...)
	last, err := b.Conn(t, bus.RoleOperator).LastMessages(deadlineContext(t), eventStream, proto.EventsStream(bustest.Suricata))
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]uint64)
	for filter, s := range last {
		got[filter] = s.Sequence
	}
	if len(got) != 2 || got["security.*.box1.tracee.>"] != 5 || got["security.*.box1.suricata.>"] != 3 {
		t.Errorf("got %v", got)
	}
}

func TestLiveSeesEachStoredMessageOnce(t *testing.T) {
	b := bustest.Start(t)
	live, err := b.Conn(t, bus.RoleTail).Live(deadlineContext(t), proto.StoredPrefix+".>")
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	f := armed(t, b.Conn(t, bus.ShipperRole(bustest.Tracee)), bustest.Tracee)
	msgs := messages(bustest.Tracee, 60) // alerts are stored a second time, in a stream of their own
	publish(t, f, msgs[0])
	publish(t, f, msgs[1:]...)
	audit := proto.Subject{Class: proto.ClassAudit, Host: bustest.Host, Source: "proxy", Kind: "request"}
	record := message(bustest.Tracee, proto.SeverityInfo, "audit")
	record.Subject = audit.Ingest()
	if err := b.Conn(t, bus.RoleProxy).Publish(deadlineContext(t), record); err != nil {
		t.Fatal(err)
	}
	for i := range 60 {
		s, err := live.Next(deadlineContext(t))
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprint(i); s.Sequence != uint64(i+1) || s.Header.Get(proto.HeaderEventID) != want || s.Stream != eventStream {
			t.Fatalf("message %d: %+v", i, s)
		}
	}
	s, err := live.Next(deadlineContext(t))
	if err != nil {
		t.Fatal(err)
	}
	if s.Subject != audit.Stored() || s.Stream != proto.StreamAudit {
		t.Errorf("got %+v", s)
	}
}
