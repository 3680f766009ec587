package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/dirlock"
	"github.com/openclaw-security/bus/services/proxy/internal/audit/spool"
)

// Source is the source of all records that a Log takes, and a token of their
// subjects.
const Source = bus.RoleProxy

// Errors of AppendAudit and AppendAlert; any other means that the file system has
// failed.
var (
	// ErrFull reports that there is no room for the record, for now.
	ErrFull = spool.ErrFull
	// ErrInvalid reports a record that the bus would never take: of another host
	// or source, malformed, or larger than MaxRecord.
	ErrInvalid = spool.ErrInvalid
)

// MinBytes is the least that a Log may be bounded to, in bytes: room for a few
// of the largest records in each spool.
const MinBytes = 8 << 20

// MaxRecord is the most bytes that a record may have as JSON; a larger one is
// refused with [ErrInvalid], so whoever puts foreign text into one cuts it.
const MaxRecord = spool.MaxPayload

// alertShare is which part of the space is kept for alerts: one in four bytes.
const alertShare = 4

// Options say where a Log keeps records, and whose they are.
type Options struct {
	// Dir holds the spools. It is created if it does not exist, readable by its
	// owner only.
	Dir string
	// MaxBytes bounds what waits on disk, [MinBytes] or more. A quarter of it is
	// kept for alerts.
	MaxBytes int64
	// Host is the machine that the records name. What waits in the spool when it
	// changes can only be published under the old name: Run then ends with a
	// permission error that names the subject.
	Host string
	// Log takes what happens.
	Log *slog.Logger
	// Metrics is where the counters are registered.
	Metrics prometheus.Registerer
	// Now is the clock.
	Now func() time.Time
	// OnState, if set, is told for each of the two streams why nothing can be
	// published to it, and nil once it can. It must not block.
	OnState func(stream string, err error)
}

// Log takes records and keeps them until they are in their stream. Its methods
// are safe for concurrent use.
type Log struct {
	host    string
	log     *slog.Logger
	now     func() time.Time
	onState func(stream string, err error)
	lock    *dirlock.Lock
	audits  *lane
	alerts  *lane
	losses  losses
	stop    chan struct{}
	keeper  sync.WaitGroup
}

// lane is the way of one stream's records.
type lane struct {
	stream  string
	spool   *spool.Spool
	metrics *metrics
	damaged int64 // lines of the spool that are counted as lost
}

// Open opens the spools, which takes reading what an earlier process has left in
// them, and needs no NATS. It returns an error that wraps [ErrInUse] if another
// process has them open. The caller must call Close.
func Open(o Options) (*Log, error) {
	if o.MaxBytes < MinBytes {
		return nil, fmt.Errorf("opening the audit spool: %d bytes are too few, %d are needed", o.MaxBytes, MinBytes)
	}
	l := &Log{
		host:    o.Host,
		log:     o.Log,
		now:     o.Now,
		onState: o.OnState,
		stop:    make(chan struct{}),
	}
	if l.onState == nil {
		l.onState = func(string, error) {}
	}
	if err := l.open(o); err != nil {
		return nil, fmt.Errorf("opening the audit spool: %w", err)
	}
	l.keeper.Go(l.keep)
	return l, nil
}

func (l *Log) open(o Options) (err error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return err
	}
	if l.lock, err = dirlock.Take(o.Dir, ErrInUse); err != nil {
		return err
	}
	forAlerts := o.MaxBytes / alertShare
	if l.audits, err = openLane(o, proto.StreamAudit, "audit", o.MaxBytes-forAlerts); err == nil {
		l.alerts, err = openLane(o, proto.StreamSecurity, "alert", forAlerts)
	}
	if err != nil {
		return errors.Join(err, l.lock.Release())
	}
	return nil
}

func openLane(o Options, stream, name string, maxBytes int64) (*lane, error) {
	s, err := spool.Open(spool.Options{
		Dir:      o.Dir,
		Name:     name,
		MaxBytes: maxBytes,
		Log:      o.Log,
		Now:      o.Now,
	})
	if err != nil {
		return nil, err
	}
	return &lane{stream: stream, spool: s, metrics: newMetrics(o.Metrics, stream, s)}, nil
}

// AppendAudit takes an audit record, whose Host and Source must be the Log's. It
// never waits for NATS or for a disk. After nil the record will be stored in
// [proto.StreamAudit]; after an error it is lost, and counted.
func (l *Log) AppendAudit(a *proto.Audit) error {
	payload, err := json.Marshal(a)
	if err != nil {
		return l.lost(l.audits, fmt.Errorf("%w: encoding audit record %s: %w", ErrInvalid, a.ID, err))
	}
	return l.append(l.audits, a.Subject(), a.ID, payload)
}

// AppendAlert is AppendAudit for an alert, which will be stored in
// [proto.StreamSecurity]. Its severity must be above info: the proxy may publish
// no other events.
func (l *Log) AppendAlert(e *proto.Event) error {
	return l.append(l.alerts, e.Subject(), e.ID, e.AppendJSON(nil))
}

func (l *Log) append(to *lane, subject proto.Subject, id string, payload []byte) error {
	if err := l.check(subject); err != nil {
		return l.lost(to, fmt.Errorf("%w: %w", ErrInvalid, err))
	}
	err := to.spool.Append(spool.Record{Subject: subject.Ingest(), ID: id, Payload: payload})
	if err != nil {
		return l.lost(to, err)
	}
	to.metrics.appended.Inc()
	return nil
}

// check finds records that the fence does not cover or that the bus would refuse:
// one of them would stop all that come after it.
func (l *Log) check(s proto.Subject) error {
	if err := s.Validate(); err != nil {
		return err
	}
	if s.Class == proto.ClassEvent {
		return errors.New("an event of severity info is no alert")
	}
	if s.Host != proto.Slug(l.host) || s.Source != Source {
		return fmt.Errorf("it is %s's on %s, not %s's on %s", s.Source, s.Host, Source, proto.Slug(l.host))
	}
	return nil
}

// Close ends the Log: it makes durable what waits and lets other processes have
// the directory. Run must have returned. It may be called once.
func (l *Log) Close() error {
	close(l.stop)
	l.keeper.Wait()
	return errors.Join(l.audits.spool.Close(), l.alerts.spool.Close(), l.lock.Release())
}
