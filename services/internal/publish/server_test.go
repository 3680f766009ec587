package publish_test

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/natsconf"
	"github.com/openclaw-security/bus/services/internal/publish"
	"github.com/openclaw-security/bus/services/testing/bustest"
)

type counter struct{ singles, all int }

func (c *counter) Stored(n int, _ time.Duration) {
	c.all += n
	if n == 1 {
		c.singles++
	}
}
func (*counter) Fenced()       {}
func (*counter) Waiting(error) {}

func message(source, id string) *nats.Msg {
	m := nats.NewMsg(proto.NewSubject(bustest.Host, source, "unknown", proto.SeverityInfo).Ingest())
	m.Header.Set(proto.HeaderEventID, id)
	m.Data = []byte("{}")
	return m
}

// TestHeldBatchesStarveNobody has the key of one source begin as many batches as a
// stream stages and end none of them. Another source publishes in batches as before,
// because its streams are its own; the same source publishes one by one.
func TestHeldBatchesStarveNobody(t *testing.T) {
	b := bustest.Start(t)
	holder := b.Raw(t, bus.ShipperRole(bustest.Suricata))
	for i := range natsconf.MaxStreamBatches {
		m := message(bustest.Suricata, "held")
		m.Header.Set("Nats-Batch-Id", fmt.Sprint("held-", i))
		m.Header.Set("Nats-Batch-Sequence", "1")
		reply, err := holder.RequestMsg(m, 20*time.Second)
		if err != nil || len(reply.Data) > 0 {
			t.Fatalf("batch %d is not begun: %v", i, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, test := range []struct {
		source  string
		refused bool
	}{{bustest.Suricata, true}, {bustest.Tracee, false}} {
		fence := bus.NewFence(b.Conn(t, bus.ShipperRole(test.source)), proto.EventsStream(test.source), proto.SourceFilter(bustest.Host, test.source))
		seen := new(counter)
		p := publish.New(fence, slog.New(slog.DiscardHandler), seen)
		if _, err := p.Resume(ctx); err != nil {
			t.Fatal(err)
		}
		var msgs []*nats.Msg
		for i := range 40 {
			msgs = append(msgs, message(test.source, strconv.Itoa(i)))
		}
		if err := p.Publish(ctx, msgs); err != nil {
			t.Fatal(err)
		}
		if singles := seen.singles == len(msgs); seen.all != len(msgs) || singles != test.refused {
			t.Errorf("%s: %d stored, %d of them one by one", test.source, seen.all, seen.singles)
		}
		last, err := fence.Last(ctx)
		if err != nil || last.Header.Get(proto.HeaderEventID) != "39" {
			t.Errorf("%s: the last one stored is %+v, %v", test.source, last, err)
		}
	}
}
