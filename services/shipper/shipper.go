// Package shipper follows one sensor's log and publishes every line of it to
// the bus, in order, once.
//
//	          ┌──────────────────────── loop ────────────────────────┐
//	file ─▶ follow ─▶ normalize ─▶ sensorhealth ─▶ rules ─▶ flood ───┼─▶ one round ahead
//	          │                     ▲    └─ alarms ─▶ rules   └─ counts┘       │
//	          └─ no line: idle ─────┤                                         ▼
//	Tracee's metrics ─▶ scraper ────┘               streams ◀─ fenced publish ─▶ ack
//
// sensorhealth notices when the sensor is silent or blind; its alarms are published
// in the same order as everything else, in front of the lines that they were found
// in.
//
// The shipper needs no state: what its two streams, ALERTS_<source> and
// EVENTS_<source>, hold of the source says where to go on. Two goroutines work side by side, so that the next batch is
// read and encoded while the server makes the current one durable; nothing is
// read further ahead than that, so an absent server costs no memory.
package shipper

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/daemon"
	"github.com/openclaw-security/bus/services/internal/flood"
	"github.com/openclaw-security/bus/services/internal/progress"
	"github.com/openclaw-security/bus/services/internal/publish"
	"github.com/openclaw-security/bus/services/internal/retry"
	"github.com/openclaw-security/bus/services/shipper/internal/follow"
	"github.com/openclaw-security/bus/services/shipper/internal/kinds"
	"github.com/openclaw-security/bus/services/shipper/internal/mapping"
	"github.com/openclaw-security/bus/services/shipper/internal/normalize"
	"github.com/openclaw-security/bus/services/shipper/internal/normalize/suricata"
	"github.com/openclaw-security/bus/services/shipper/internal/normalize/tracee"
	"github.com/openclaw-security/bus/services/shipper/internal/rules"
	"github.com/openclaw-security/bus/services/shipper/internal/sensorhealth"
)

// Run ships until ctx is done. It waits out an absent bus and an absent file;
// it returns an error if the settings are wrong, if the bus refuses for good,
// or if another shipper publishes under the same name.
func Run(ctx context.Context, cfg Config, rt daemon.Runtime) error {
	rt.Ready.Expect("nats", "file", "publish", "sensor")
	key, err := cfg.NATS.Key()
	if err != nil {
		return err
	}
	conn, err := bus.Connect(ctx, bus.Options{
		URL:     cfg.NATS.URL,
		Key:     key,
		Role:    bus.ShipperRole(cfg.Source),
		Log:     rt.Log,
		OnState: func(err error) { rt.Ready.Set("nats", err) },
	})
	if err != nil {
		return fmt.Errorf("connecting to the bus: %w", err)
	}
	defer conn.Close()
	for _, stream := range []string{proto.AlertsStream(cfg.Source), proto.EventsStream(cfg.Source)} {
		err = patiently(ctx, rt, func() error { return conn.CheckSchema(ctx, stream) })
		if err != nil {
			return notStopped(ctx, fmt.Errorf("checking the streams: %w", err))
		}
	}
	engine, err := loadRules(cfg.Rules, cfg.State, rt.Log)
	if err != nil {
		return err
	}
	normalizer, err := normalizer(cfg, time.Now)
	if err != nil {
		return err
	}
	s := &shipper{
		cfg:       cfg,
		host:      config.HostName(cfg.Host),
		conn:      conn,
		runtime:   rt,
		metrics:   newMetrics(rt.Metrics, engine),
		sensor:    sensorhealth.NewMetrics(rt.Metrics),
		normalize: normalizer,
		rules:     engine,
		flood:     flood.New(cfg.Flood, time.Now),
	}
	s.metrics.floods(rt.Metrics, s.flood)
	defer progress.Heart{
		Conn: conn, Host: s.host, Source: cfg.Source, Log: rt.Log,
		Problem: func() error { return rt.Ready.Reason("publish") },
	}.Start(ctx)()
	filter := proto.SourceFilter(s.host, cfg.Source)
	fences := publish.Fences{
		Alerts: bus.NewFence(conn, proto.AlertsStream(cfg.Source), filter),
		Events: bus.NewFence(conn, proto.EventsStream(cfg.Source), filter),
	}
	err = publish.RunPair(ctx, fences, rt.Log, observer{s.metrics, rt.Ready}, keepOrigin, func(p *publish.Pair, at publish.Stand) error {
		return s.ship(ctx, p, at)
	})
	if errors.Is(err, publish.ErrFenced) {
		err = fmt.Errorf("another shipper publishes under this name: %w; stop one of the two, or give them different values of OPENCLAW_HOST or SHIPPER_SOURCE", err)
	}
	return notStopped(ctx, err)
}

// notStopped is err, or nil if the shipper was told to stop: that interrupts what
// is under way.
func notStopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// requestPause is how long the shipper waits before it asks an absent bus again.
const requestPause = 500 * time.Millisecond

// patiently repeats a request to the bus until it succeeds, the bus refuses for
// good, or ctx is done.
func patiently(ctx context.Context, rt daemon.Runtime, request func() error) error {
	policy := retry.Policy{Min: requestPause, Max: requestPause, OnRetry: func(err error, _ time.Duration) { rt.Ready.Set("publish", err) }}
	return retry.Do(ctx, policy, func(context.Context) error {
		err := request()
		if bus.Permanent(err) {
			return retry.Permanent(err)
		}
		return err
	})
}

type shipper struct {
	cfg       Config
	host      string
	conn      *bus.Conn
	runtime   daemon.Runtime
	metrics   *metrics
	sensor    *sensorhealth.Metrics
	normalize *normalize.Normalizer
	rules     *rules.Engine
	flood     *flood.Folder
}

func normalizer(cfg Config, now func() time.Time) (*normalize.Normalizer, error) {
	n := &normalize.Normalizer{Host: config.HostName(cfg.Host), Source: cfg.Source, Now: now, Verbatim: cfg.Raw == rawVerbatim}
	switch {
	case cfg.Mapping != "":
		sensor, err := mapping.Load(cfg.Mapping)
		if err != nil {
			return nil, err
		}
		n.Sensor = sensor
	case cfg.Source == SourceTracee:
		n.Sensor = tracee.Sensor{}
	default:
		n.Sensor = suricata.Sensor{}
	}
	return n, nil
}

// ship goes on from where the streams stand, until ctx is done or something stops it.
func (s *shipper) ship(ctx context.Context, publisher *publish.Pair, at publish.Stand) error {
	var created, before time.Time
	err := patiently(ctx, s.runtime, func() (err error) {
		if created, err = s.conn.Created(ctx, proto.EventsStream(s.cfg.Source)); err == nil && at.Last == nil {
			at.Last, before, err = s.conn.Retired(ctx, proto.SourceFilter(s.host, s.cfg.Source))
			if at.Last != nil {
				at.Checkpoint = proto.SourceCheckpoint(at.Last.Header)
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	checkpoint, storedAt := at.Checkpoint, time.Time{}
	if at.Last != nil {
		storedAt = at.Last.Time
	}
	note := &hint{path: s.cfg.Hint, log: s.runtime.Log, now: time.Now}
	noted := note.recall(created, before)
	if checkpoint == "" || at.Half && noted.Round > at.Round {
		checkpoint, storedAt, at.Beyond = noted.Checkpoint, noted.StoredAt, nil
	}
	if len(at.Beyond) == 0 && checkpoint != "" {
		note.stored(checkpoint, at.Round)
	}
	defer note.save()
	from, err := follow.ParseCheckpoint(checkpoint)
	if err != nil {
		return fmt.Errorf("reading the checkpoint that the streams hold for %s: %w", s.cfg.Source, err)
	}
	follower, err := follow.Open(follow.Config{
		Path:       s.cfg.path(),
		RotatedDir: s.cfg.Rotated,
		From:       from,
		StoredAt:   storedAt,
		Start:      map[string]follow.Start{"beginning": follow.Beginning, "end": follow.End}[s.cfg.Start],
		MaxLine:    s.cfg.MaxLine,
		Own:        s.normalize.Own,
		Logger:     s.runtime.Log,
	})
	if err != nil {
		return fmt.Errorf("following %s: %w", s.cfg.path(), err)
	}
	defer follower.Close()
	s.metrics.follower.Store(follower)
	s.runtime.Log.Info("following", "path", s.cfg.path(), "checkpoint", checkpoint, "stored_beyond", len(at.Beyond))

	l := &loop{
		follower: follower,
		health:   s.health(at.Last, time.Now()),
		encoder: &encoder{
			normalize: s.normalize, rules: s.rules, kinds: kinds.SetOf(s.cfg.Source), limit: s.conn.MaxPayload(), metrics: s.metrics, flood: s.flood,
		},
		stored:   newStoredLines(at.Beyond),
		base:     checkpoint,
		position: checkpoint,
		rounds:   make(chan publish.Round),
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(l.rounds)
		return fmt.Errorf("reading %s: %w", s.cfg.path(), l.run(ctx)) // it returns only with an error
	})
	group.Go(func() error {
		l.health.Run(ctx)
		return nil
	})
	group.Go(func() error {
		for round := range l.rounds {
			if err := publisher.Publish(ctx, round); err != nil {
				return err
			}
			if round.End != "" {
				note.stored(round.End, publisher.Round())
			}
		}
		return nil
	})
	group.Go(func() error {
		s.watch(ctx, follower)
		return nil
	})
	return group.Wait()
}

// health begins the watch over the sensor behind last, the source's last message.
func (s *shipper) health(last *bus.Stored, now time.Time) *sensorhealth.Monitor {
	sensor := s.cfg.sensor()
	cfg := sensorhealth.Config{
		Sensor:   cmp.Or(map[string]string{SourceSuricata: "Suricata", SourceTracee: "Tracee"}[sensor], s.cfg.Source),
		Path:     s.cfg.path(),
		Silence:  s.cfg.silence(),
		Suricata: sensor == SourceSuricata,
		Metrics:  s.sensor,
		Report:   s.runtime.Ready.Set,
	}
	if sensor == SourceTracee {
		cfg.URL = s.cfg.Metrics
	}
	var alarm normalize.Alarm
	if last != nil {
		alarm, _ = normalize.ReadAlarm(last.Data)
	}
	return sensorhealth.New(cfg, alarm, now)
}

// watchInterval is how often readiness is brought up to what the follower says.
const watchInterval = time.Second

// watch reports what the follower waits for, such as a file that does not exist
// yet, until ctx is done.
func (s *shipper) watch(ctx context.Context, follower *follow.Follower) {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	before := ""
	for {
		waiting := follower.Stats().Waiting
		if waiting != "" {
			s.runtime.Ready.Set("file", errors.New(waiting))
		} else {
			s.runtime.Ready.Set("file", nil)
		}
		if waiting != before {
			before = waiting
			s.runtime.Log.Info("waiting for the sensor's file", "waiting_for", cmp.Or(waiting, "nothing any more"))
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}
