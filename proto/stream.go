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
)

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
	}
}

// DeadPrefix is the first token of a dead letter's subject.
const DeadPrefix = "dead"

// DeadSubject is where a durable publishes what it gives up on:
// dead.<stream>.<durable>, both passed through [Slug].
func DeadSubject(stream, durable string) string {
	return DeadPrefix + "." + Slug(stream) + "." + Slug(durable)
}

// Consumer defines a durable pull consumer with explicit acknowledgement.
// MaxDeliver is unlimited: a message is either acknowledged or copied to
// [StreamDead] first, never skipped by the server.
type Consumer struct {
	Durable       string
	Stream        string
	Description   string
	AckWait       time.Duration // redeliver what is not acknowledged within
	MaxAckPending int           // deliver at most this many unacknowledged messages
}

// The durables.
const (
	DurableNotifierStdout = "notifier-stdout"
)

// Consumers returns the bus's durables.
func Consumers() []Consumer {
	return []Consumer{
		{
			Durable:       DurableNotifierStdout,
			Stream:        StreamAlerts,
			Description:   "The notifier's standard output",
			AckWait:       30 * time.Second,
			MaxAckPending: 8192,
		},
	}
}
