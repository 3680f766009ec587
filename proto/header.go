package proto

// Message headers of the bus, beside those that NATS itself defines.
const (
	// HeaderEventID carries the event's id. Sinks deduplicate by it, never by
	// stream sequence: after a crash that loses a stream's tail, sequences are
	// used again.
	HeaderEventID = "Event-Id"

	// HeaderCheckpoint carries where its source stands after this message, in the
	// source's own form. A shipper tells for each file it still reads the file's
	// generation, the byte offset after the last published line and a hash of the
	// bytes before it; the LLM proxy, a place in its spool. The last message under
	// [SourceFilter] is all that a restarted one needs.
	HeaderCheckpoint = "Shipper-Checkpoint"

	// HeaderInstance names the process that published the message: a random word
	// of its own. It tells a publisher whose acknowledgement was lost its own
	// message from that of another process under the same name.
	HeaderInstance = "Shipper-Instance"
)

// Headers of a message in [StreamDead]: where it came from and why it is there.
const (
	HeaderDeadReason     = "Dead-Reason"     // in words, one line
	HeaderDeadStream     = "Dead-Stream"     // the stream it was consumed from
	HeaderDeadSequence   = "Dead-Sequence"   // its stream sequence there
	HeaderDeadSubject    = "Dead-Subject"    // its subject there
	HeaderDeadConsumer   = "Dead-Consumer"   // the durable that gave it up
	HeaderDeadDeliveries = "Dead-Deliveries" // how often it had been delivered by then
)
