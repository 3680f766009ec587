// Package shipper follows one sensor's log and publishes every line of it to
// the bus, in order, once.
//
//	file ─▶ follow ─▶ normalize ─▶ encode ─┐ one batch ahead
//	           └─────▶ vigil ─▶ alarms ────┤
//	                                       ▼
//	                    stream ◀─ fenced publish ─▶ ack
//
// The vigil notices when the sensor is silent or blind; its alarms are published
// in the same order as everything else.
//
// It needs no state: the stream's last message under the source's name says
// where to go on. Two goroutines work side by side, so that the next batch is
// read and encoded while the server makes the current one durable; nothing is
// read further ahead than that, so an absent server costs no memory.
package shipper

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/sync/errgroup"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/daemon"
	"github.com/openclaw-security/bus/services/internal/publish"
	"github.com/openclaw-security/bus/services/shipper/internal/follow"
	"github.com/openclaw-security/bus/services/shipper/internal/mapping"
	"github.com/openclaw-security/bus/services/shipper/internal/normalize"
	"github.com/openclaw-security/bus/services/shipper/internal/normalize/suricata"
	"github.com/openclaw-security/bus/services/shipper/internal/normalize/tracee"
	"github.com/openclaw-security/bus/services/shipper/internal/rules"
)

// A process that was killed can leave a publish under way that is stored only
// after its successor has looked up the checkpoint. The successor is then
// fenced off by its own predecessor and looks again, at most this often, before
// it takes the other for a living competitor.
const (
	maxResumes  = 5
	resumePause = 200 * time.Millisecond
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
	err = patiently(ctx, rt, func() error { return conn.CheckSchema(ctx, proto.StreamSecurity) })
	if err != nil {
		return notStopped(ctx, fmt.Errorf("checking the stream: %w", err))
	}
	engine, err := loadRules(cfg.Rules, rt.Log)
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
		sensor:    newSensorMetrics(rt.Metrics),
		normalize: normalizer,
		rules:     engine,
	}
	for resumes := 0; ; resumes++ {
		stored := s.metrics.storedCount()
		err := notStopped(ctx, s.ship(ctx))
		if err == nil {
			return nil
		}
		if !errors.Is(err, publish.ErrFenced) {
			return err
		}
		if s.metrics.storedCount() > stored || resumes == maxResumes {
			return fmt.Errorf("another shipper publishes under this name: %w; stop one of the two, or give them different values of OPENCLAW_HOST or SHIPPER_SOURCE", err)
		}
		select {
		case <-time.After(resumePause):
		case <-ctx.Done():
			return nil
		}
	}
}

// notStopped is err unless the shipper was told to stop, whatever that broke off.
func notStopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// askPause is how long the shipper waits before it asks an absent bus again.
const askPause = 500 * time.Millisecond

// patiently asks the bus until it answers, for good or bad, or ctx is done.
func patiently(ctx context.Context, rt daemon.Runtime, ask func() error) error {
	for {
		err := ask()
		if err == nil || bus.Permanent(err) {
			return err
		}
		rt.Ready.Set("publish", err)
		select {
		case <-time.After(askPause):
		case <-ctx.Done():
			return err
		}
	}
}

type shipper struct {
	cfg       Config
	host      string
	conn      *bus.Conn
	runtime   daemon.Runtime
	metrics   *metrics
	sensor    *sensorMetrics
	normalize *normalize.Normalizer
	rules     *rules.Engine
}

func normalizer(cfg Config, now func() time.Time) (*normalize.Normalizer, error) {
	n := &normalize.Normalizer{Host: config.HostName(cfg.Host), Source: cfg.Source, Now: now}
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

// ship goes on from the stream's checkpoint until ctx is done or something
// stops it.
func (s *shipper) ship(ctx context.Context) error {
	filter := proto.SourceFilter(s.host, s.cfg.Source)
	fence := bus.NewFence(s.conn, proto.StreamSecurity, filter)
	publisher := publish.New(fence, s.runtime.Log, observer{s.metrics, s.runtime.Ready})
	checkpoint, storedAt, err := publisher.Resume(ctx)
	if err != nil {
		return err
	}
	var created time.Time
	var last *bus.Stored
	err = patiently(ctx, s.runtime, func() (err error) {
		if created, err = s.conn.Created(ctx, proto.StreamSecurity); err != nil {
			return err
		}
		// By a fence of its own: the publisher's must go on expecting what Resume found.
		last, err = bus.NewFence(s.conn, proto.StreamSecurity, filter).Last(ctx)
		return err
	})
	if err != nil {
		return err
	}
	note := &hint{path: s.cfg.Hint, log: s.runtime.Log, now: time.Now}
	noted, notedAt := note.recall(created)
	if checkpoint == "" {
		checkpoint, storedAt = noted, notedAt
	} else {
		note.stored(checkpoint)
	}
	defer note.save()
	from, err := follow.ParseCheckpoint(checkpoint)
	if err != nil {
		return fmt.Errorf("reading the checkpoint that the stream holds for %s: %w", s.cfg.Source, err)
	}
	follower, err := follow.Open(follow.Config{
		Path:     s.cfg.path(),
		From:     from,
		StoredAt: storedAt,
		Start:    map[string]follow.Start{"beginning": follow.Beginning, "end": follow.End}[s.cfg.Start],
		MaxLine:  s.cfg.MaxLine,
		Logger:   s.runtime.Log,
	})
	if err != nil {
		return fmt.Errorf("following %s: %w", s.cfg.path(), err)
	}
	defer follower.Close()
	s.metrics.follower.Store(follower)
	s.runtime.Log.Info("following", "path", s.cfg.path(), "checkpoint", checkpoint)

	var alarm normalize.Alarm
	if last != nil {
		alarm, _ = normalize.ReadAlarm(last.Data)
	}
	look := newLookout(s.cfg, s.runtime, s.sensor, alarm, time.Now())
	enc := &encoder{
		normalize: s.normalize, rules: s.rules, limit: s.conn.MaxPayload(), metrics: s.metrics,
		lookout: look, position: checkpoint,
	}

	batches := make(chan []*nats.Msg)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(batches)
		return s.read(ctx, follower, enc, batches)
	})
	if look.scraper != nil {
		group.Go(func() error {
			look.scraper.run(ctx)
			return nil
		})
	}
	group.Go(func() error {
		for msgs := range batches {
			newest := msgs[len(msgs)-1].Header.Get(proto.HeaderCheckpoint)
			if err := publisher.Publish(ctx, msgs); err != nil {
				return err
			}
			note.stored(newest)
		}
		return nil
	})
	group.Go(func() error {
		s.watch(ctx, follower)
		return nil
	})
	return group.Wait()
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

// read turns what the follower finds into messages, a batch at a time, and what
// the lookout has to say into others in front of them.
func (s *shipper) read(ctx context.Context, follower *follow.Follower, enc *encoder, batches chan<- []*nats.Msg) error {
	for {
		batch, err := enc.lookout.next(ctx, follower)
		if err != nil {
			return fmt.Errorf("reading %s: %w", s.cfg.path(), err)
		}
		var msgs []*nats.Msg
		if batch == nil {
			enc.lookout.idle(time.Now(), follower.Stats().Waiting)
		} else {
			enc.lookout.read(time.Now(), batch)
			msgs = enc.encode(batch)
		}
		alarms := enc.encodeAlarms(enc.lookout.alarms())
		for part := range slices.Chunk(alarms, proto.MaxBatch) {
			if err := send(ctx, batches, part); err != nil {
				return err
			}
		}
		if len(msgs) > 0 { // else all were dropped by rules
			enc.position = msgs[len(msgs)-1].Header.Get(proto.HeaderCheckpoint)
			if err := send(ctx, batches, msgs); err != nil {
				return err
			}
		}
		if len(alarms)+len(msgs) > 0 {
			enc.lookout.vigil.Busy(time.Now())
		}
	}
}

// send waits until msgs are taken. They are the publisher's from then on.
func send(ctx context.Context, batches chan<- []*nats.Msg, msgs []*nats.Msg) error {
	select {
	case batches <- msgs:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
