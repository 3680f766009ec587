package spool

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/openclaw-security/bus/proto"
)

// KindGap is the kind of the alerts that report records of the proxy's own as
// lost. Their severity is high: an attacker who wants to act unseen would begin by
// filling the spool.
const KindGap = "audit-gap"

// gapInterval is the shortest time between two such alerts. The first comes at once.
const gapInterval = time.Minute

// Why a record was lost.
const (
	lostFull     = "full"     // its queue, or the disk, had no room for it
	lostInvalid  = "invalid"  // it cannot be encoded, or the bus would not take it
	lostFailed   = "failed"   // the file system failed
	lostDamaged  = "damaged"  // its line in the queue was no longer what had been written
	lostOversize = "oversize" // it is larger than the server takes
)

// loss is where records were lost, and why.
type loss struct{ stream, reason string }

// losses are those that are yet to be reported.
type losses struct {
	mu       sync.Mutex
	count    map[loss]int64
	from, to time.Time // of the first and the last of them
	reported time.Time // the last report
}

// lost counts a record that could not be appended, and returns why.
func (s *Spool) lost(from *outbox, err error) error {
	reason := lostFailed
	switch {
	case errors.Is(err, ErrFull):
		reason = lostFull
	case errors.Is(err, ErrInvalid):
		reason = lostInvalid
	}
	s.lose(from, reason, 1)
	return err
}

// lose counts records that are lost.
func (s *Spool) lose(from *outbox, reason string, n int64) {
	from.metrics.lost.WithLabelValues(reason).Add(float64(n))
	now := s.now().UTC()
	s.losses.mu.Lock()
	defer s.losses.mu.Unlock()
	if len(s.losses.count) == 0 {
		s.losses.count = make(map[loss]int64)
		s.losses.from = now
	}
	s.losses.count[loss{from.stream, reason}] += n
	s.losses.to = now
}

// reportLosses appends an alert that says what was lost since the last one, as
// soon as there is room for it, and at most one a minute unless it is the last.
func (s *Spool) reportLosses(last bool) {
	for _, box := range []*outbox{s.audits, s.alerts} {
		if n := box.queue.Stats().Damaged; n > box.damaged {
			s.lose(box, lostDamaged, n-box.damaged)
			box.damaged = n
		}
	}
	now := s.now().UTC()
	p := &s.losses
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.count) == 0 || !last && now.Sub(p.reported) < gapInterval {
		return
	}
	e := s.gapEvent(now)
	err := s.alerts.queue.Append(record{Subject: e.Subject().Ingest(), ID: e.ID, Payload: e.AppendJSON(nil)})
	if err != nil {
		return // tried again with the next tick
	}
	s.alerts.metrics.appended.Inc()
	s.log.Error("records of the proxy's own were lost", "what", e.Title)
	p.count, p.reported = nil, now
}

// gapEvent is the alert for s.losses, whose lock is held.
func (s *Spool) gapEvent(now time.Time) *proto.Event {
	type part struct {
		Stream  string `json:"stream"`
		Reason  string `json:"reason"`
		Records int64  `json:"records"`
	}
	var detail struct {
		From time.Time `json:"from"`
		To   time.Time `json:"to"`
		Lost []part    `json:"lost"`
	}
	detail.From, detail.To = s.losses.from, s.losses.to
	byName := func(a, b loss) int { return cmp.Or(cmp.Compare(a.stream, b.stream), cmp.Compare(a.reason, b.reason)) }
	var total int64
	var words []string
	for _, k := range slices.SortedFunc(maps.Keys(s.losses.count), byName) {
		n := s.losses.count[k]
		total += n
		detail.Lost = append(detail.Lost, part{k.stream, k.reason, n})
		words = append(words, fmt.Sprintf("%d for %s (%s)", n, k.stream, k.reason))
	}
	raw, err := json.Marshal(detail)
	if err != nil { // a clock outside the years that JSON can express
		raw = nil
	}
	e := &proto.Event{
		ID:     proto.EventID(s.host, Source, KindGap, now.UnixNano(), raw),
		Time:   now,
		Host:   s.host,
		Source: Source,
		Kind:   KindGap,
		Title:  fmt.Sprintf("The LLM proxy lost %d of its records: %s", total, strings.Join(words, ", ")),
		Raw:    raw,
	}
	e.SetSeverity(proto.SeverityHigh)
	return e
}
