package delivery

import (
	"context"
	"fmt"
	"slices"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
)

const (
	// maxHeard is how many alerts are held of which there is no copy yet. More
	// need not go ahead of others: one message tells of many.
	maxHeard = 16
	// maxAhead is how many messages are remembered that went ahead of copies. It
	// is what a chat takes in minutes, by which copies have come.
	maxAhead = 64
)

// ahead is a message that was accepted before copies of its alerts had come.
//
// The server copies alerts into their stream one by one and syncs each, so that in
// a storm the copies fall behind. A critical alert does not wait for its own: the
// server also sends it to whoever listens, as soon as it is stored. That can be
// missed and cannot be acknowledged, so it only decides when the alert is told
// of, never whether: its copy comes by the urgent lane and is recognised.
type ahead struct {
	Delivery proto.Delivery `json:"delivery"`
	Missing  keys           `json:"missing"`
}

// listen hands on critical alerts as they are stored, until ctx ends. One for
// which there is no room comes by its lane only.
func (d *Delivery) listen(ctx context.Context) {
	for retry := newRetry(); ; {
		err := d.listenOnce(ctx)
		if ctx.Err() != nil {
			return
		}
		if bus.Permanent(err) {
			d.Log.Warn("a critical alert has to wait for its copy", "err", err)
			return
		}
		d.Log.Debug("listening is interrupted", "err", err)
		if retry.wait(ctx) != nil {
			return
		}
	}
}

func (d *Delivery) listenOnce(ctx context.Context) error {
	feed, err := d.Conn.Live(ctx, proto.AlertFilter(proto.SeverityCritical))
	if err != nil {
		return err
	}
	defer feed.Close()
	d.at("listening")
	for {
		m, err := feed.Next(ctx)
		if err != nil {
			return err
		}
		select {
		case d.heard <- m:
		default:
		}
	}
}

// hearWaiting takes all that was heard meanwhile.
func (d *Delivery) hearWaiting() {
	for len(d.heard) > 0 {
		d.hear(<-d.heard)
	}
}

// hear puts a critical alert on the urgent pile, if it is one that is to be
// delivered. All else is left to its copy.
func (d *Delivery) hear(m *bus.Stored) {
	e, err := decodeAlert(m.Subject, m.Data)
	if err != nil || e.ID == "" {
		return // without an id, the copy would not be recognised
	}
	k := keyOf(m.Subject, e.ID)
	_, accepted := d.settled.accepted[k]
	_, refused := d.settled.refused[k]
	p := &d.lanes[urgent].pile
	if accepted || refused || p.heard >= maxHeard || e.Severity < d.Least || d.Silenced(e, m.Data) != "" {
		return
	}
	p.hear(k, m.Time, e)
}

// sentAhead remembers a message that was accepted, with the alerts of which there
// is no copy yet.
func (d *Delivery) sentAhead(missing keys, delivery proto.Delivery) {
	if len(missing) == 0 {
		return
	}
	d.state.Ahead = append(d.state.Ahead, ahead{Delivery: delivery, Missing: missing})
	d.state.Ahead = d.state.Ahead[max(0, len(d.state.Ahead)-maxAhead):]
}

// copied records the sequence of an alert's copy with the message that has told of
// the alert before. It reports whether there was one.
func (d *Delivery) copied(ctx context.Context, k key, sequence uint64) (bool, error) {
	for i := range d.state.Ahead {
		a := &d.state.Ahead[i]
		at := slices.Index(a.Missing, k)
		if at < 0 {
			continue
		}
		delivery := a.Delivery
		delivery.Ranges = ranges{{First: sequence, Last: sequence}}
		// If this process ends before it stores that the key is not missing any
		// more, there can be another such record, which says the same.
		if err := d.record(ctx, &delivery, fmt.Sprintf(" %d", sequence)); err != nil {
			return true, err
		}
		a.Missing = slices.Delete(a.Missing, at, at+1)
		if len(a.Missing) == 0 {
			d.state.Ahead = slices.Delete(d.state.Ahead, i, i+1)
		}
		return true, nil
	}
	return false, nil
}
