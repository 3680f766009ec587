package proto

import (
	"slices"
	"strings"
	"time"
)

// SchemaVersion is the version of the streams and durables defined here. The
// provisioner writes it into their metadata under [MetadataSchema]; every other
// process checks it before it works. Version 2 renamed the headers
// Shipper-Checkpoint and Shipper-Instance, which readers still understand, to
// [HeaderCheckpoint] and [HeaderInstance]. Version 3 gave each source streams of its
// own in place of one for all ([RetiredStreams]).
const SchemaVersion = 3

// Metadata keys of streams and durables.
const (
	MetadataSchema = "openclaw_schema_version"
	// MetadataPredecessor, on a durable of a sink of the notifier, names the sink in
	// whose place it was configured and whose state it continues.
	MetadataPredecessor = "openclaw_predecessor"
)

// The streams beside those of sources, which [SourceStreams] returns.
const (
	StreamAudit       = "SECURITY_AUDIT"
	StreamCheckpoints = "SECURITY_CHECKPOINTS"
	StreamDead        = "SECURITY_DEAD"

	StreamDeliveries = "SECURITY_DELIVERIES"
	StreamState      = "KV_" + BucketState
	StreamRequests   = "KV_" + BucketRequests
)

// The streams of schema versions 1 and 2, which [RetiredStreams] returns.
const (
	StreamSecurity = "SECURITY"
	StreamAlerts   = "SECURITY_ALERTS"
)

// Prefixes of the names of streams that belong to one source.
const (
	AlertsPrefix = "ALERTS_"
	EventsPrefix = "EVENTS_"
)

// AlertsStream is the name of the stream that holds a source's alerts, which is
// passed through [Slug].
func AlertsStream(source string) string { return AlertsPrefix + Slug(source) }

// EventsStream is the name of the stream that holds a source's events, which is
// passed through [Slug].
func EventsStream(source string) string { return EventsPrefix + Slug(source) }

// AlertStreams returns those of the named streams that hold alerts to be
// delivered: sorted, and [StreamAlerts] last.
func AlertStreams(names []string) []string {
	return streamsOf(names, StreamAlerts, func(name string) bool { return strings.HasPrefix(name, AlertsPrefix) })
}

// SecurityStreams returns those of the named streams that together hold every
// alert and event once: sorted, and [StreamSecurity] last.
func SecurityStreams(names []string) []string {
	return streamsOf(names, StreamSecurity, func(name string) bool {
		return strings.HasPrefix(name, AlertsPrefix) || strings.HasPrefix(name, EventsPrefix) || name == StreamCheckpoints
	})
}

func streamsOf(names []string, last string, wanted func(name string) bool) []string {
	var streams []string
	for _, name := range names {
		if wanted(name) {
			streams = append(streams, name)
		}
	}
	slices.Sort(streams)
	if slices.Contains(names, last) {
		streams = append(streams, last)
	}
	return streams
}

// BucketState is the key-value bucket for what consumers and the operator must
// agree on: [StreamState] holds its last value for each key, under
// [StateSubject]. Any NATS client's key-value API reads it.
const BucketState = "SECURITY_STATE"

// BucketRequests is the key-value bucket for the requests made of services, which have
// keys that are chosen by the one who makes it ([KeyRequest]).
const BucketRequests = "SECURITY_REQUESTS"

// MaxState bounds a value of [BucketState] with its headers, in bytes.
const MaxState = 576 << 10

// MaxBatch is the most messages that the server takes in one atomic batch
// (nats-server 2.15: streamDefaultMaxAtomicBatchSize).
const MaxBatch = 1000

// Discard is what a full stream does with a new message.
type Discard string

// The discard policies.
const (
	DiscardOld Discard = "old" // drop the oldest message
	DiscardNew Discard = "new" // refuse the new message
)

// Stream defines a stream. All streams use file storage and limits retention.
type Stream struct {
	Name        string
	Description string
	Subjects    []string      // what clients publish to it; empty for a sourced stream
	Sources     []Source      // other streams it copies from
	Stored      bool          // store ingest.> as security.>, and republish what was stored
	MaxAge      time.Duration // messages older than this are dropped
	MaxBytes    int64         // size limit in bytes
	MinBytes    int64         // no share of a small store is smaller: with less, the stream does not do its work
	MaxMsgs     int64         // max messages; 0 for as many as fit
	MaxMsgBytes int64         // max bytes of a message and its headers; 0 for what the server takes
	Discard     Discard       // what happens at MaxBytes
	AppendOnly  bool          // deny delete and purge through the API
	Atomic      bool          // accept atomic batches
	LastOnly    bool          // a key-value bucket: keep only the last message of each subject, and republish what changes
	Yields      bool          // its MaxBytes may get smaller, but not below what it holds
	Retired     bool          // an earlier version wrote it: it is kept where it exists
}

// Source is a stream, or a part of it, that another stream copies.
type Source struct {
	Stream string
	Filter string // one stored subject pattern
}

// DefaultStoreMax is the size in bytes of the store that the default sizes of streams
// are shares of.
const DefaultStoreMax = 8 << 30

// What the streams of all sources share, by default. A source whose alerts a sensor
// reports gets sensorShare times as much for them as one that reports its own state.
const (
	alertsBytes = 1536 << 20
	eventsBytes = 4 << 30
	sensorShare = 4
)

// What the streams of a source need: twice a batch of the largest size of a sensor's
// lines, and of alerts alone that of one that reports its own state a quarter.
const (
	minEventsBytes = 16 << 20
	minAlertsBytes = minEventsBytes / sensorShare
)

const (
	day          = 24 * time.Hour
	alertsMaxAge = 365 * day
	eventsMaxAge = 30 * day
)

// SourceName is the name of a source on the bus, and whether it publishes events
// beside alerts, as sensors do.
type SourceName struct {
	Name   string
	Events bool
}

// SourceStreams returns the streams of these sources: one for the alerts of each, and
// one for its events if it publishes any. Each has limits of its own, so that no
// source can evict what another has stored. Their sizes are shares of what all have
// together; another source makes those of the others smaller.
func SourceStreams(sources []SourceName) []Stream {
	var shares, withEvents int64
	for _, s := range sources {
		shares += s.share()
		if s.Events {
			withEvents++
		}
	}
	var streams []Stream
	for _, s := range sources {
		streams = append(streams, Stream{
			Name:        AlertsStream(s.Name),
			Description: "Alerts of " + s.Name,
			Subjects:    []string{ingestFilter(ClassAlert, s.Name)},
			Stored:      true,
			MaxAge:      alertsMaxAge,
			MaxBytes:    alertsBytes / shares * s.share(),
			MinBytes:    minAlertsBytes * s.share(),
			Discard:     DiscardOld,
			Atomic:      true,
			Yields:      true,
		})
		if !s.Events {
			continue
		}
		streams = append(streams, Stream{
			Name:        EventsStream(s.Name),
			Description: "Events of " + s.Name,
			Subjects:    []string{ingestFilter(ClassEvent, s.Name)},
			Stored:      true,
			MaxAge:      eventsMaxAge,
			MaxBytes:    eventsBytes / withEvents,
			MinBytes:    minEventsBytes,
			Discard:     DiscardOld,
			Atomic:      true,
			Yields:      true,
		})
	}
	return streams
}

func (s SourceName) share() int64 {
	if s.Events {
		return sensorShare
	}
	return 1
}

// ingestFilter is what a source publishes of a class, on any host.
func ingestFilter(class Class, source string) string {
	return IngestPrefix + "." + string(class) + ".*." + Slug(source) + ".>"
}

// RetiredStreams returns the streams that held the alerts and events of all sources
// in schema versions 1 and 2. Where they exist they are kept until what they hold has
// aged out; nobody can publish to them.
func RetiredStreams() []Stream {
	const minBytes = 1 << 20
	return []Stream{
		{
			Name:        StreamSecurity,
			Description: "Alerts and events of all sources, from before each had streams of its own",
			Subjects:    []string{"retired." + StreamSecurity},
			Stored:      true,
			MaxAge:      eventsMaxAge,
			MaxBytes:    minBytes,
			Discard:     DiscardOld,
			Atomic:      true,
			Yields:      true,
			Retired:     true,
		},
		{
			Name:        StreamAlerts,
			Description: "Alerts of all sources, from before each had a stream of its own",
			Sources:     []Source{{Stream: StreamSecurity, Filter: StoredPrefix + "." + string(ClassAlert) + ".>"}},
			MaxAge:      alertsMaxAge,
			MaxBytes:    minBytes,
			Discard:     DiscardOld,
			Yields:      true,
			Retired:     true,
		},
	}
}

// Streams returns the bus's streams beside those of sources, in the order in which
// they are created. Ages and sizes are defaults; a deployment may set others.
func Streams() []Stream {
	return []Stream{
		{
			Name:        StreamAudit,
			Description: "LLM requests as the proxy saw them",
			Subjects:    []string{IngestPrefix + "." + string(ClassAudit) + ".>"},
			Stored:      true,
			MaxAge:      90 * day,
			MaxBytes:    1 << 30,
			MinBytes:    16 << 20,
			Discard:     DiscardNew,
			AppendOnly:  true,
			Atomic:      true,
		},
		{
			Name:        StreamCheckpoints,
			Description: "Signed statements of the auditor about the end of its log",
			Subjects:    []string{ingestFilter(ClassEvent, "auditor")},
			Stored:      true,
			MaxAge:      3650 * day,
			MaxBytes:    64 << 20,
			MinBytes:    2 << 20,
			Discard:     DiscardNew,
			AppendOnly:  true,
		},
		{
			Name:        StreamDead,
			Description: "What a consumer gave up on, with the reason",
			Subjects:    []string{DeadPrefix + ".>"},
			MaxAge:      90 * day,
			MaxBytes:    256 << 20,
			MinBytes:    4 << 20,
			Discard:     DiscardOld,
		},
		{
			Name:        StreamDeliveries,
			Description: "Which alerts each message to a chat was about, and what the chat's server said to it",
			Subjects:    []string{DeliveriesPrefix + ".>"},
			MaxAge:      365 * day,
			MaxBytes:    256 << 20,
			MinBytes:    4 << 20,
			Discard:     DiscardOld,
		},
		{
			Name:        StreamState,
			Description: "The key-value bucket " + BucketState + ": plans of messages, silences, heartbeats and standing alarms",
			Subjects:    []string{StateSubject(">")},
			MaxAge:      3650 * day,
			MaxBytes:    64 << 20,
			MinBytes:    24 << 20, // 42 keys of the largest size: a source has one and a sink two
			MaxMsgs:     4096,
			MaxMsgBytes: MaxState,
			Discard:     DiscardNew,
			LastOnly:    true,
		},
		{
			// Full of made-up requests it drops the oldest, so that others can be made.
			Name:        StreamRequests,
			Description: "The key-value bucket " + BucketRequests + ": requests of services and their outcomes",
			Subjects:    []string{bucketPrefix + BucketRequests + ".>"},
			MaxAge:      7 * day,
			MaxBytes:    16 << 20,
			MinBytes:    4 << 20,
			MaxMsgs:     4096,
			MaxMsgBytes: 64 << 10,
			Discard:     DiscardOld,
			LastOnly:    true,
		},
	}
}

// DeadPrefix is the first token of a dead letter's subject.
const DeadPrefix = "dead"

// DeadSubject is where a durable publishes what it gives up on:
// dead.<stream>.<durable>, both passed through [Slug].
func DeadSubject(stream, durable string) string {
	return DeadPrefix + "." + Slug(stream) + "." + Slug(durable)
}

// DeliveriesPrefix is the first token of a delivery's subject.
const DeliveriesPrefix = "deliveries"

// DeliveriesSubject is where a sink records what it has delivered:
// deliveries.<sink>, passed through [Slug].
func DeliveriesSubject(sink string) string { return DeliveriesPrefix + "." + Slug(sink) }

// Consumer defines a durable pull consumer with explicit acknowledgement.
// MaxDeliver is unlimited: a message is either acknowledged or copied to
// [StreamDead] first, never skipped by the server.
type Consumer struct {
	Durable       string
	Stream        string
	Description   string
	AckWait       time.Duration // redeliver what is not acknowledged within
	MaxAckPending int           // deliver at most this many unacknowledged messages
	Filters       []string      // stored subject patterns; empty for all of the stream
	// Standby says that it may be left alone while another durable of the same
	// service is fetched from.
	Standby bool `json:",omitempty"`
}

// The durables.
const (
	DurableNotifierStdout = "notifier-stdout"
	DurableAuditor        = "auditor"
)

// AuditConsumer returns the durable of the auditor.
func AuditConsumer() Consumer {
	return Consumer{
		Durable:       DurableAuditor,
		Stream:        StreamAudit,
		Description:   "The audit log",
		AckWait:       time.Minute,
		MaxAckPending: 16384,
	}
}

// SinkConsumer returns the durable of a sink of the notifier that takes the alerts
// of a stream in the order in which they came. A sink has one in each stream of
// alerts, under the same name.
func SinkConsumer(sink, stream string) Consumer {
	return Consumer{
		Durable:       "notifier-" + Slug(sink),
		Stream:        stream,
		Description:   "Alerts for the sink " + sink,
		AckWait:       30 * time.Second,
		MaxAckPending: 8192,
	}
}

// LaneConsumers returns the durables, in a stream of alerts, of a sink of the notifier
// that has to choose what to send first: the most severe alerts first, the last is
// for those that are neither high nor critical. Critical alerts have one of their own,
// so that no number of others that wait keeps the server from handing one out; in
// [StreamAlerts], where nothing is added any more, they share that of high ones.
func LaneConsumers(sink, stream string) []Consumer {
	lane := func(name string, severities ...Severity) Consumer {
		c := SinkConsumer(sink+"-"+name, stream)
		c.Description = "Alerts for the sink " + sink + ", the " + name + " ones"
		for _, s := range severities {
			c.Filters = append(c.Filters, AlertFilter(s))
		}
		return c
	}
	routine := lane("routine", SeverityMedium, SeverityLow)
	if stream == StreamAlerts {
		return []Consumer{lane("urgent", SeverityCritical, SeverityHigh), routine}
	}
	return []Consumer{lane("critical", SeverityCritical), lane("urgent", SeverityHigh), routine}
}

// AlertFilter is the pattern of the stored subjects of all alerts of a severity.
func AlertFilter(s Severity) string {
	return StoredPrefix + "." + string(ClassAlert) + ".*.*.*." + s.String()
}
