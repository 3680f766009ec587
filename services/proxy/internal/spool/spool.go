// Package spool keeps the proxy's records, audits of requests and alerts, on disk
// until they are in their streams, in order, once.
//
//	AppendAudit ─▶ queue of audits ─▶ drain ─▶ fenced publish ─▶ SECURITY_AUDIT
//	AppendAlert ─▶ queue of alerts ─▶ drain ─▶ fenced publish ─▶ ALERTS_proxy
//	                 (on disk)          ▲ waits for NATS, alone
//
// A request never waits for NATS or for a disk: appending hands the record to the
// operating system and returns. From then on the end of the process, even by
// SIGKILL, loses nothing; the end of the machine can take what was appended since
// the last sync, a tenth of a second before.
//
// Each stream has a queue, and a share of the space, of its own: a full
// SECURITY_AUDIT can neither hold up an alert nor take its place on disk.
//
// The stream is the checkpoint. Each message says in [proto.HeaderCheckpoint]
// where in its queue it ends, and draining goes on behind the last message stored
// under the host. A position that the queue does not have is in a file that was
// removed, because all of it is stored or with the whole directory: everything
// that is there is new then.
//
// What cannot be kept, because a queue is full or its disk has failed, is counted
// by reason and reported by an alert of kind [KindGap].
//
// # Files
//
// A queue is a series of segments, each a file of lines that only the process
// that created it writes to; a new process begins a new one, and a segment is
// removed as a whole. A line says what it is and ends with a newline:
//
//	<CRC-32C of the rest, 8 hex digits> <Unix time in ms> <subject> <id> <payload>
//
// A segment's name has a random word, so that a position, which is the name and
// an offset, can be kept anywhere and never means another line than the one it
// was taken from: not after a crash, and not in a queue that has taken the place
// of another.
package spool

import (
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
)

// Source is the source of all records that a Spool takes, and a token of their
// subjects.
const Source = bus.RoleProxy

// AlertsStream is where the alerts go.
const AlertsStream = proto.AlertsPrefix + Source

// ErrInUse reports that another process has the directory open.
var ErrInUse = errors.New("in use by another process")

// MinBytes is the smallest bound of a Spool, in bytes: room for a few of the
// largest records in each queue.
const MinBytes = 8 << 20

// alertShare is which part of the space is kept for alerts: one in four bytes.
const alertShare = 4

// Options say where a Spool keeps records, and whose they are.
type Options struct {
	// Dir holds the queues. It is created if it does not exist, readable by its
	// owner only.
	Dir string
	// MaxBytes bounds what waits on disk, [MinBytes] or more. A quarter of it is
	// kept for alerts.
	MaxBytes int64
	// Host is the machine that the records name. What waits in a queue when it
	// changes can only be published under the old name: Run then ends with a
	// permission error that names the subject.
	Host string
	// Log takes what happens.
	Log *slog.Logger
	// Metrics is where the counters are registered.
	Metrics prometheus.Registerer
	// Now is the clock.
	Now func() time.Time
	// OnState, if set, is called for each of the two streams with why nothing can
	// be published to it, and with nil once it can. It must not block.
	OnState func(stream string, err error)
}

// Spool takes records and keeps them until they are in their stream. Its methods
// are safe for concurrent use.
type Spool struct {
	host       string
	log        *slog.Logger
	now        func() time.Time
	onState    func(stream string, err error)
	lock       *dirlock.Lock
	audits     *outbox
	alerts     *outbox
	losses     losses
	stop       chan struct{}
	background sync.WaitGroup
}

// outbox holds the records that wait to be published to one stream.
type outbox struct {
	stream  string
	queue   *queue
	metrics *metrics
	damaged int64 // lines of the queue that are counted as lost
}

// Open opens the queues, which takes reading what an earlier process has left in
// them, and needs no NATS. It returns an error that wraps [ErrInUse] if another
// process has them open. The caller must call Close.
func Open(o Options) (*Spool, error) {
	if o.MaxBytes < MinBytes {
		return nil, fmt.Errorf("opening the audit spool: %d bytes are too few, %d are needed", o.MaxBytes, MinBytes)
	}
	s := &Spool{
		host:    o.Host,
		log:     o.Log,
		now:     o.Now,
		onState: o.OnState,
		stop:    make(chan struct{}),
	}
	if s.onState == nil {
		s.onState = func(string, error) {}
	}
	if err := s.open(o); err != nil {
		return nil, fmt.Errorf("opening the audit spool: %w", err)
	}
	s.background.Go(s.maintain)
	return s, nil
}

func (s *Spool) open(o Options) (err error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return err
	}
	if s.lock, err = dirlock.Take(o.Dir, ErrInUse); err != nil {
		return err
	}
	forAlerts := o.MaxBytes / alertShare
	if s.audits, err = openOutbox(o, proto.StreamAudit, "audit", o.MaxBytes-forAlerts); err == nil {
		s.alerts, err = openOutbox(o, AlertsStream, "alert", forAlerts)
	}
	if err != nil {
		return errors.Join(err, s.lock.Release())
	}
	return nil
}

func openOutbox(o Options, stream, name string, maxBytes int64) (*outbox, error) {
	q, err := openQueue(queueOptions{
		Dir:      o.Dir,
		Name:     name,
		MaxBytes: maxBytes,
		Log:      o.Log,
		Now:      o.Now,
	})
	if err != nil {
		return nil, err
	}
	return &outbox{stream: stream, queue: q, metrics: newMetrics(o.Metrics, stream, q)}, nil
}

// AppendAudit takes an audit record, whose Host and Source must be the Spool's. It
// never waits for NATS or for a disk. After nil the record will be stored in
// [proto.StreamAudit], without some of its detail if it is larger than
// [MaxRecord]; after an error it is lost, and counted.
func (s *Spool) AppendAudit(a *proto.Audit) error {
	payload, err := encodeAudit(a)
	if err != nil {
		return s.lost(s.audits, fmt.Errorf("%w: encoding audit record %s: %w", ErrInvalid, a.ID, err))
	}
	return s.append(s.audits, a.Subject(), a.ID, payload)
}

// AppendAlert is AppendAudit for an alert, which will be stored in
// [AlertsStream]. Its severity must be above info: the proxy may publish
// no other events.
func (s *Spool) AppendAlert(e *proto.Event) error {
	return s.append(s.alerts, e.Subject(), e.ID, e.AppendJSON(nil))
}

func (s *Spool) append(to *outbox, subject proto.Subject, id string, payload []byte) error {
	if err := s.check(subject); err != nil {
		return s.lost(to, fmt.Errorf("%w: %w", ErrInvalid, err))
	}
	err := to.queue.Append(record{Subject: subject.Ingest(), ID: id, Payload: payload})
	if err != nil {
		return s.lost(to, err)
	}
	to.metrics.appended.Inc()
	return nil
}

// check finds records that the fence does not cover or that the bus would refuse:
// one of them would stop all that come after it.
func (s *Spool) check(subject proto.Subject) error {
	if err := subject.Validate(); err != nil {
		return err
	}
	if subject.Class == proto.ClassEvent {
		return errors.New("an event of severity info is not an alert")
	}
	if subject.Host != proto.Slug(s.host) || subject.Source != Source {
		return fmt.Errorf("it is %s's on %s, not %s's on %s", subject.Source, subject.Host, Source, proto.Slug(s.host))
	}
	return nil
}

// Close ends the Spool: it makes durable what waits and lets other processes have
// the directory. Run must have returned. It may be called once.
func (s *Spool) Close() error {
	close(s.stop)
	s.background.Wait()
	return errors.Join(s.audits.queue.Close(), s.alerts.queue.Close(), s.lock.Release())
}

// syncInterval bounds what the end of the machine can take.
const syncInterval = 100 * time.Millisecond

// maintain does until Close what needs no NATS: it syncs the queues, removes what is
// done with, and reports what was lost.
func (s *Spool) maintain() {
	ticker := time.NewTicker(syncInterval)
	defer ticker.Stop()
	failing := false
	for {
		select {
		case <-ticker.C:
		case <-s.stop:
			s.reportLosses(true)
			return
		}
		s.reportLosses(false)
		failing = s.tidy(failing)
	}
}

// tidy syncs and tidies the queues, and logs when syncing begins to fail and when
// it works again.
func (s *Spool) tidy(failing bool) bool {
	var err error
	for _, box := range []*outbox{s.audits, s.alerts} {
		if e := box.queue.Sync(); e != nil {
			err = e
		}
		box.queue.Tidy()
	}
	switch {
	case err != nil && !failing:
		s.log.Error("the audit spool cannot be made durable; the end of the machine would take what waits in it", "err", err)
	case err == nil && failing:
		s.log.Info("the audit spool is durable again")
	}
	return err != nil
}
