package shipper

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/daemon"
	"github.com/openclaw-security/bus/services/shipper/internal/follow"
	"github.com/openclaw-security/bus/services/shipper/internal/normalize"
	"github.com/openclaw-security/bus/services/shipper/internal/normalize/suricata"
	"github.com/openclaw-security/bus/services/shipper/internal/vigil"
)

// lookInterval is how often the watch over the sensor is kept while no line comes.
const lookInterval = time.Second

// lookout tells the vigil over the sensor what the shipper sees of it, and the
// operator what has come of that. It belongs to the goroutine that reads.
//
//	lines, stats records ─┐
//	the follower          ├─▶ vigil ─▶ alarms, readiness, metrics
//	scraper               ─┘
type lookout struct {
	vigil   *vigil.Vigil
	scraper *scraper // nil if the sensor is not asked for its metrics
	metrics *sensorMetrics
	ready   *daemon.Readiness

	suricata bool     // the sensor's records are Suricata's
	scraped  *reading // the last that the vigil was told of
}

// newLookout begins a watch at now. Last is the alarm that is the last stored
// message of the source, if that is one.
func newLookout(cfg Config, rt daemon.Runtime, m *sensorMetrics, last normalize.Alarm, now time.Time) *lookout {
	names := map[string]string{SourceSuricata: "Suricata", SourceTracee: "Tracee"}
	l := &lookout{
		vigil: vigil.New(vigil.Config{
			Sensor:  cmp.Or(names[cfg.sensor()], cfg.Source),
			Path:    cfg.path(),
			Silence: cfg.silence(),
		}, now),
		metrics:  m,
		ready:    rt.Ready,
		suricata: cfg.sensor() == SourceSuricata,
	}
	if cfg.sensor() == SourceTracee && cfg.Metrics != "" {
		l.scraper = newScraper(cfg.Metrics)
	}
	l.vigil.Restore(last)
	l.report()
	return l
}

// next waits for lines, but not beyond the next look at the sensor: it returns
// nil if there were none until then.
func (l *lookout) next(ctx context.Context, follower *follow.Follower) (*follow.Batch, error) {
	bounded, cancel := context.WithTimeout(ctx, lookInterval)
	defer cancel()
	batch, err := follower.Next(bounded, proto.MaxBatch)
	if err != nil && ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		return nil, nil
	}
	return batch, err
}

// read tells that a batch was read at now. A gap in it is no word of the sensor's.
func (l *lookout) read(now time.Time, batch *follow.Batch) {
	for i := range batch.Lines {
		if batch.Lines[i].Kind != follow.Gap {
			l.vigil.Lines(now)
			l.metrics.lastLine.WithLabelValues().Set(float64(now.UnixMilli()) / 1000)
			return
		}
	}
}

// idle tells that all lines have been read and none came until now.
func (l *lookout) idle(now time.Time, waiting string) {
	unreachable := ""
	if l.scraper != nil {
		if r := l.scraper.latest.Load(); r != nil && r.err != nil {
			unreachable = r.err.Error()
		}
	}
	l.vigil.Idle(now, waiting, unreachable)
}

// record looks at an event that was made of a line, and tags it if its record
// tells of rules that do not load.
func (l *lookout) record(e *proto.Event) {
	if !l.suricata || e.Kind != suricata.KindStats || e.Raw == nil {
		return
	}
	stats, ok := suricata.ParseStats(e.Raw)
	if !ok {
		return
	}
	if stats.Rules != nil && stats.Rules.Failed > 0 {
		e.Tags = append(e.Tags, suricata.TagRulesFailed)
	}
	l.metrics.stats(stats)
	l.vigil.Stats(e.Time, stats)
}

// alarms returns what has come up since it was called last.
func (l *lookout) alarms() []normalize.Alarm {
	if l.scraper != nil {
		if r := l.scraper.latest.Load(); r != l.scraped {
			l.scraped = r
			l.metrics.scraped(r)
			l.ready.Set("sensor_metrics", r.err)
			if r.err == nil {
				l.vigil.Lost(r.at, r.lost)
			}
		}
	}
	alarms := l.vigil.Take()
	if len(alarms) > 0 {
		l.report()
	}
	return alarms
}

// report brings readiness and metrics up to what the vigil says.
func (l *lookout) report() {
	for _, condition := range vigil.Conditions() {
		l.metrics.stands(condition, l.vigil.Stands(condition))
	}
	var err error
	if standing := l.vigil.Standing(); len(standing) > 0 {
		err = errors.New(strings.Join(standing, "; "))
	}
	l.ready.Set("sensor", err)
}
