package proto

import "time"

// SchemaVersion is the version of the streams and durables defined here. The
// provisioner writes it into their metadata under [MetadataSchema]; every other
// process checks it before it works.
const SchemaVersion = 1

// Metadata keys of streams and durables.
const (
	MetadataSchema = "openclaw_schema_version"
)

// The streams.
const (
	StreamSecurity = "SECURITY"
	StreamAlerts   = "SECURITY_ALERTS"
	StreamAudit    = "SECURITY_AUDIT"
	StreamDead     = "SECURITY_DEAD"

	StreamDeliveries = "SECURITY_DELIVERIES"
	StreamState      = "KV_" + BucketState
)

// BucketState is the key-value bucket for what consumers and the operator must
// agree on: [StreamState] holds its last value for each key, under
// [StateSubject]. Any NATS client's key-value API reads it.
const BucketState = "SECURITY_STATE"

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
	Discard     Discard       // what happens at MaxBytes
	AppendOnly  bool          // deny delete and purge through the API
	Atomic      bool          // accept atomic batches
	LastOnly    bool          // keep only the last message of each subject: a key-value bucket
}

// Source is a stream, or a part of it, that another stream copies.
type Source struct {
	Stream string
	Filter string // one stored subject pattern
}

// Streams returns the bus's streams in the order in which they are created.
// Ages and sizes are defaults; a deployment may set others.
func Streams() []Stream {
	const day = 24 * time.Hour
	return []Stream{
		{
			Name:        StreamSecurity,
			Description: "Alerts and events, in the order each source wrote them",
			Subjects:    []string{IngestPrefix + "." + string(ClassAlert) + ".>", IngestPrefix + "." + string(ClassEvent) + ".>"},
			Stored:      true,
			MaxAge:      30 * day,
			MaxBytes:    4 << 30,
			Discard:     DiscardOld,
			Atomic:      true,
		},
		{
			Name:        StreamAlerts,
			Description: "A copy of every alert under limits of its own, so that telemetry cannot evict one",
			Sources:     []Source{{Stream: StreamSecurity, Filter: StoredPrefix + "." + string(ClassAlert) + ".>"}},
			MaxAge:      365 * day,
			MaxBytes:    1 << 30,
			Discard:     DiscardOld,
		},
		{
			Name:        StreamAudit,
			Description: "LLM requests as the proxy saw them",
			Subjects:    []string{IngestPrefix + "." + string(ClassAudit) + ".>"},
			Stored:      true,
			MaxAge:      90 * day,
			MaxBytes:    1 << 30,
			Discard:     DiscardNew,
			AppendOnly:  true,
			Atomic:      true,
		},
		{
			Name:        StreamDead,
			Description: "What a consumer gave up on, with the reason",
			Subjects:    []string{DeadPrefix + ".>"},
			MaxAge:      90 * day,
			MaxBytes:    256 << 20,
			Discard:     DiscardOld,
		},
		{
			Name:        StreamDeliveries,
			Description: "Which alerts each message to a chat was about, and what the chat's server said to it",
			Subjects:    []string{DeliveriesPrefix + ".>"},
			MaxAge:      365 * day,
			MaxBytes:    256 << 20,
			Discard:     DiscardOld,
		},
		{
			Name:        StreamState,
			Description: "The key-value bucket " + BucketState + ": plans of messages, silences, requests of the operator",
			Subjects:    []string{StateSubject(">")},
			MaxAge:      3650 * day,
			MaxBytes:    64 << 20,
			Discard:     DiscardNew,
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

// Keys of [BucketState].
const (
	// KeySilences holds the silences in force, written by the operator and by the
	// notifier's buttons.
	KeySilences = "silences"
)

// KeyDelivery is the key of a sink's plan: what it is about to send.
func KeyDelivery(sink string) string { return "delivery." + Slug(sink) }

// KeyRequests is the key of what the operator asks of a sink: a test, a replay,
// a dead letter tried again.
func KeyRequests(sink string) string { return "requests." + Slug(sink) }

// StateSubject is the subject of a key of [BucketState].
func StateSubject(key string) string { return "$KV." + BucketState + "." + key }

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
}

// The durables.
const (
	DurableNotifierStdout = "notifier-stdout"
	DurableAuditor        = "auditor"
)

// Consumers returns the durables that every bus has. A sink that is configured
// has more: [SinkConsumer], or [LaneConsumers].
func Consumers() []Consumer {
	return []Consumer{
		SinkConsumer("stdout"),
		{
			Durable:       DurableAuditor,
			Stream:        StreamAudit,
			Description:   "The audit log",
			AckWait:       time.Minute,
			MaxAckPending: 16384,
		},
	}
}

// SinkConsumer returns the durable of a sink of the notifier that takes alerts
// in the order in which they came.
func SinkConsumer(sink string) Consumer {
	return Consumer{
		Durable:       "notifier-" + Slug(sink),
		Stream:        StreamAlerts,
		Description:   "Alerts for the sink " + sink,
		AckWait:       30 * time.Second,
		MaxAckPending: 8192,
	}
}

// LaneConsumers returns the two durables of a sink of the notifier that has to
// choose what to send first: what is high or critical, and the rest.
func LaneConsumers(sink string) (urgent, routine Consumer) {
	lane := func(name string, severities ...Severity) Consumer {
		c := SinkConsumer(sink + "-" + name)
		c.Description = "Alerts for the sink " + sink + ", the " + name + " ones"
		for _, s := range severities {
			c.Filters = append(c.Filters, AlertFilter(s))
		}
		return c
	}
	return lane("urgent", SeverityCritical, SeverityHigh), lane("routine", SeverityMedium, SeverityLow)
}

// AlertFilter is the pattern of the stored subjects of all alerts of a severity.
func AlertFilter(s Severity) string {
	return StoredPrefix + "." + string(ClassAlert) + ".*.*.*." + s.String()
}
