package planner

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/notifier/internal/delivery/store"
)

// event is an alert whose id and title are the same.
func event(severity proto.Severity, title string) *proto.Event {
	e := &proto.Event{ID: title, Time: time.Date(2026, 11, 22, 7, 9, 3, 0, time.UTC), Source: "suricata", Kind: "alert", Title: title}
	e.SetSeverity(severity)
	return e
}

// stream is where the alerts of these tests are.
const stream = "ALERTS_a"

func TestQueue(t *testing.T) {
	put := func(q *Queue, severity proto.Severity, sequence uint64, title string) {
		e := event(severity, title)
		q.Add(&bus.Msg{Stream: stream, Sequence: sequence}, store.Hash(title), e)
	}
	fill := func(q *Queue, severity proto.Severity, from, n int) {
		for i := range n {
			put(q, severity, uint64(from+i), fmt.Sprint(severity, from+i))
		}
	}
	t.Run("critical among many", func(t *testing.T) {
		var q Queue
		fill(&q, proto.SeverityHigh, 1, 100)
		fill(&q, proto.SeverityCritical, 101, maxCards)
		if q.few() || !q.Hurries() {
			t.Fatalf("few %t, pressing %t", q.few(), q.Hurries())
		}
		cards := q.cards(isCritical)
		if taken := q.remove(isCritical); len(cards) != maxCards || len(taken) != maxCards || len(q.members) != 100 {
			t.Errorf("%d cards of %d alerts, %d left", len(cards), len(taken), len(q.members))
		}
		if q.few() || q.Hurries() {
			t.Errorf("then: few %t, pressing %t", q.few(), q.Hurries())
		}
		if lowest, _ := q.Lowest(stream); lowest != 1 {
			t.Errorf("the lowest is %d", lowest)
		}
	})
	t.Run("many critical ones", func(t *testing.T) {
		var q Queue
		fill(&q, proto.SeverityCritical, 1, maxCards+1)
		if q.few() || q.Hurries() {
			t.Errorf("few %t, pressing %t", q.few(), q.Hurries())
		}
	})
	t.Run("what was few before is not few after", func(t *testing.T) {
		var q Queue
		fill(&q, proto.SeverityHigh, 1, maxCards)
		fill(&q, proto.SeverityCritical, 100, 1)
		q.remove(isCritical)
		if q.few() {
			t.Error("the queue promises cards that it has not kept")
		}
		q.remove(anyKey)
		if !q.few() || !q.Empty() {
			t.Error("an empty queue is not as new")
		}
	})
	t.Run("of several streams", func(t *testing.T) {
		var q Queue
		add := func(stream string, sequence uint64, title string) {
			q.Add(&bus.Msg{Stream: stream, Durable: "d", Sequence: sequence, Stored: time.Unix(int64(sequence), 0)}, store.Hash(title), event(proto.SeverityCritical, title))
		}
		add("ALERTS_a", 7, "it")
		add("ALERTS_a", 7, "it") // delivered again
		add("ALERTS_b", 7, "another")
		add("ALERTS_b", 3, "it") // the same event
		lowest, _ := q.Lowest("ALERTS_b")
		if lowest != 3 || q.Fetched("ALERTS_a", "d") != 1 || q.Fetched("ALERTS_b", "d") != 2 || q.Fetched("ALERTS_b", "other") != 0 || len(q.members) != 3 {
			t.Errorf("lowest %d, members %+v", lowest, q.members)
		}
		if oldest, ok := q.Oldest(); !ok || !oldest.Equal(time.Unix(3, 0)) {
			t.Errorf("the oldest is of %s", oldest)
		}
		if cards := q.cards(anyKey); len(cards) != 2 || cards[0].Count != 1 || cards[1].Count != 1 {
			t.Errorf("cards %+v", cards)
		}
	})
}

// What is held of as many as can wait has a bounded size, whatever the alerts
// carry.
func TestQueuesAreSmall(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var q Queue
	const many = 8192
	for i := range many {
		e := event(proto.SeverityHigh, fmt.Sprint("title ", i, strings.Repeat("x", 4096)))
		e.Raw = make([]byte, 4096)
		q.Add(&bus.Msg{Stream: stream, Data: make([]byte, 4096), Header: nats.Header{"A": {strings.Repeat("x", 4096)}}, Sequence: uint64(i)}, store.Hash(fmt.Sprint(i)), e)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if each := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / many; each > 2048 {
		t.Errorf("an alert of %d bytes takes %d", 4096, each)
	}
	if len(q.Drain()) != many {
		t.Error("some are gone")
	}
}
