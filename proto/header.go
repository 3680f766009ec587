package proto

// Message headers of the bus, beside those that NATS itself defines.
const (
	// HeaderEventID carries the event's id. Sinks deduplicate by it, never by
	// stream sequence: after a crash that loses a stream's tail, sequences are
	// used again.
	HeaderEventID = "Event-Id"

	// HeaderCheckpoint carries where its source stands after this message, in the
	// source's own form. A shipper gives for each file it still reads the file's
	// generation, the byte offset after the last published line and a hash of the
	// bytes before it; the LLM proxy, a place in its spool. The last message under
	// [SourceFilter] is all that a restarted one needs.
	HeaderCheckpoint = "Source-Checkpoint"

	// HeaderInstance names the process that published the message: a random word
	// of its own. By it a publisher whose acknowledgement was lost distinguishes its own
	// message from that of another process under the same name.
	HeaderInstance = "Source-Instance"
)

// Headers of a source that publishes alerts and events side by side to two streams, in
// rounds: the next round begins only when both streams have stored all of one.
const (
	// HeaderRound numbers the round, as a decimal that grows with each: it orders
	// the messages of the two streams without trusting a clock.
	HeaderRound = "Source-Round"

	// HeaderPlace is the message's place in its round and how many messages the
	// round has, such as 3/20. If all of them are stored, the source stands at the
	// [HeaderCheckpoint] of the last one. The count is missing, as in 3/, if reading
	// has to begin at [HeaderBase] in any case.
	HeaderPlace = "Source-Place"

	// HeaderBase is the checkpoint at which reading begins again if not all of the
	// round is stored. What is stored with the same base is not published again.
	HeaderBase = "Source-Base"
)

// SourceCheckpoint returns the [HeaderCheckpoint] of a message, and "" if it has
// none. It also reads the header's name in schema version 1, which nothing writes
// any more but which a stream may hold.
func SourceCheckpoint(header map[string][]string) string {
	return firstOf(header, HeaderCheckpoint, "Shipper-Checkpoint")
}

// SourceInstance returns the [HeaderInstance] of a message, and "" if it has none.
// It also reads the header's name in schema version 1.
func SourceInstance(header map[string][]string) string {
	return firstOf(header, HeaderInstance, "Shipper-Instance")
}

func firstOf(header map[string][]string, names ...string) string {
	for _, name := range names {
		if values := header[name]; len(values) > 0 {
			return values[0]
		}
	}
	return ""
}

// Headers of a message in [StreamDead]: where it came from and why it is there.
const (
	HeaderDeadReason     = "Dead-Reason"     // in words, one line
	HeaderDeadStream     = "Dead-Stream"     // the stream it was consumed from
	HeaderDeadSequence   = "Dead-Sequence"   // its stream sequence there
	HeaderDeadSubject    = "Dead-Subject"    // its subject there
	HeaderDeadConsumer   = "Dead-Consumer"   // the durable that gave it up
	HeaderDeadDeliveries = "Dead-Deliveries" // how often it had been delivered by then
)
