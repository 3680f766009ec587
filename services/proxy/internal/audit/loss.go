package audit

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
	"github.com/openclaw-security/bus/services/proxy/internal/audit/spool"
)

// KindGap is the kind of the alerts that report records of the proxy's own as
// lost. Their severity is high: whoever wants to do something unseen would begin
// by filling the spool.
const KindGap = "audit-gap"

// gapInterval is the least time between two such alerts. The first comes at once.
const gapInterval = time.Minute

// Why a record was lost.
const (
	lostFull     = "full"     // its spool, or the disk, had no room for it
	lostInvalid  = "invalid"  // it cannot be encoded, or the bus would not take it
	lostFailed   = "failed"   // the file system failed
	lostDamaged  = "damaged"  // its line in the spool was no longer what had been written
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
func (l *Log) lost(from *lane, err error) error {
	reason := lostFailed
	switch {
	case errors.Is(err, ErrFull):
		reason = lostFull
	case errors.Is(err, ErrInvalid):
		reason = lostInvalid
	}
	l.lose(from, reason, 1)
	return err
}

// lose counts records that are lost.
func (l *Log) lose(from *lane, reason string, n int64) {
	from.metrics.lost.WithLabelValues(reason).Add(float64(n))
	now := l.now().UTC()
	l.losses.mu.Lock()
	defer l.losses.mu.Unlock()
	if len(l.losses.count) == 0 {
		l.losses.count = make(map[loss]int64)
		l.losses.from = now
	}
	l.losses.count[loss{from.stream, reason}] += n
	l.losses.to = now
}

// reportLosses appends an alert that says what was lost since the last one, as
// soon as there is room for it, and at most one a minute unless it is the last.
func (l *Log) reportLosses(last bool) {
	for _, lane := range []*lane{l.audits, l.alerts} {
		if n := lane.spool.Stats().Damaged; n > lane.damaged {
			l.lose(lane, lostDamaged, n-lane.damaged)
			lane.damaged = n
		}
	}
	now := l.now().UTC()
	p := &l.losses
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.count) == 0 || !last && now.Sub(p.reported) < gapInterval {
		return
	}
	e := l.gapEvent(now)
	err := l.alerts.spool.Append(spool.Record{Subject: e.Subject().Ingest(), ID: e.ID, Payload: e.AppendJSON(nil)})
	if err != nil {
		return // with the next look it may be possible
	}
	l.alerts.metrics.appended.Inc()
	l.log.Error("records of the proxy's own were lost", "what", e.Title)
	p.count, p.reported = nil, now
}

// gapEvent is the alert for l.losses, whose lock is held.
func (l *Log) gapEvent(now time.Time) *proto.Event {
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
	detail.From, detail.To = l.losses.from, l.losses.to
	byName := func(a, b loss) int { return cmp.Or(cmp.Compare(a.stream, b.stream), cmp.Compare(a.reason, b.reason)) }
	var total int64
	var words []string
	for _, k := range slices.SortedFunc(maps.Keys(l.losses.count), byName) {
		n := l.losses.count[k]
		total += n
		detail.Lost = append(detail.Lost, part{k.stream, k.reason, n})
		words = append(words, fmt.Sprintf("%d for %s (%s)", n, k.stream, k.reason))
	}
	raw, err := json.Marshal(detail)
	if err != nil { // a clock outside the years that JSON can tell
		raw = nil
	}
	e := &proto.Event{
		ID:     proto.EventID(l.host, Source, KindGap, now.UnixNano(), raw),
		Time:   now,
		Host:   l.host,
		Source: Source,
		Kind:   KindGap,
		Title:  fmt.Sprintf("The LLM proxy lost %d of its records: %s", total, strings.Join(words, ", ")),
		Raw:    raw,
	}
	e.SetSeverity(proto.SeverityHigh)
	return e
}
