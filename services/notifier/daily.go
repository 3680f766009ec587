package notifier

import (
	"context"
	"strconv"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/audit"
	"github.com/openclaw-security/bus/services/internal/retry"
	"github.com/openclaw-security/bus/services/notifier/internal/report"
	"github.com/openclaw-security/bus/services/notifier/internal/sink"
)

// reportRetry is how long after a failed report the next attempt is made.
const reportRetry = time.Minute

// reportLate is how late a report may still be sent: a notifier that was not
// running at its hour sends it when it starts.
const reportLate = 12 * time.Hour

// reportDaily sends a report of the day before at the configured hour until ctx
// is done.
func (n *notifier) reportDaily(ctx context.Context, c *chat) error {
	hour, err := strconv.Atoi(n.cfg.ReportHour)
	if err != nil {
		return nil // none is wanted
	}
	at := lastReport(n.now().In(n.cfg.zone()), hour)
	if n.now().Sub(at) > reportLate {
		at = nextReport(at)
	}
	for {
		if wait := at.Sub(n.now()); wait > 0 && retry.Sleep(ctx, wait) != nil {
			return nil
		}
		// The message has the day's name: a report that was sent before a restart
		// is not sent again.
		err := n.report(ctx, c, "report/"+at.Format(time.DateOnly), at)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && n.now().Sub(at) < reportLate:
			n.log.Warn("the daily report is delayed", "err", err, "sink", c.Name())
			if retry.Sleep(ctx, reportRetry) != nil {
				return nil
			}
			continue
		}
		at = nextReport(at)
	}
}

// report sends a report of the day that ends at a time.
func (n *notifier) report(ctx context.Context, c *chat, id string, end time.Time) error {
	r, err := report.Make(ctx, n.conn, audit.Client{Conn: n.conn}, end.AddDate(0, 0, -1), end)
	if err != nil {
		return err
	}
	_, err = c.delivery.Enqueue(ctx, id, sink.Batch{
		Kind:   proto.DeliveryReport,
		Text:   r.Text(n.cfg.zone()),
		First:  r.From,
		Last:   r.To,
		Silent: true,
	})
	return err
}

// lastReport is the latest time not after now at which it was that hour.
func lastReport(now time.Time, hour int) time.Time {
	at := time.Date(now.Year(), now.Month(), now.Day(), hour, 0, 0, 0, now.Location())
	if at.After(now) {
		at = time.Date(now.Year(), now.Month(), now.Day()-1, hour, 0, 0, 0, now.Location())
	}
	return at
}

// nextReport is the same hour of the next day, which can be 23 or 25 hours away.
func nextReport(at time.Time) time.Time {
	return time.Date(at.Year(), at.Month(), at.Day()+1, at.Hour(), 0, 0, 0, at.Location())
}
