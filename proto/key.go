package proto

import "strings"

// Keys of [BucketState], and the first word of those of [BucketRequests].
const (
	requestsPrefix = "requests."

	// KeySilences holds the silences in force, written by the operator and by the
	// notifier's buttons.
	KeySilences = "silences"
	// KeyAlarms holds the alarms about the bus itself that stand, written by the
	// notifier.
	KeyAlarms = "alarms"
	// HeartbeatPrefix begins the keys of heartbeats ([KeyHeartbeat]).
	HeartbeatPrefix = "heartbeat"
)

// KeyDelivery is the key of a sink's plan: what it is about to send.
func KeyDelivery(sink string) string { return "delivery." + Slug(sink) }

// KeyDeliveryLease is the key by which a process holds the delivery to a sink.
func KeyDeliveryLease(sink string) string { return KeyDelivery(sink) + ".lease" }

// KeyHeartbeat is the key under which a source says that it is alive and whether it can
// publish: heartbeat.<host>.<source>.
func KeyHeartbeat(host, source string) string {
	return HeartbeatPrefix + "." + Slug(host) + "." + Slug(source)
}

// KeyRequest is the key of a request that a service is to serve, and of its outcome:
// requests.<service>.<id>.
func KeyRequest(service, id string) string { return requestsPrefix + Slug(service) + "." + id }

// bucketOf is the bucket of a key.
func bucketOf(key string) string {
	if strings.HasPrefix(key, requestsPrefix) {
		return BucketRequests
	}
	return BucketState
}

// StreamOfKey is the name of the stream that holds the bucket of a key.
func StreamOfKey(key string) string { return "KV_" + bucketOf(key) }

// bucketPrefix is the first token of the subjects of all buckets.
const bucketPrefix = "$KV."

// StateSubject is the subject of a key in its bucket.
func StateSubject(key string) string { return bucketPrefix + bucketOf(key) + "." + key }

// StateKey is the key whose subject it is.
func StateKey(subject string) string {
	_, key, _ := strings.Cut(strings.TrimPrefix(subject, bucketPrefix), ".")
	return key
}

// StateChangeSubject is where the server sends each new value of a key once it is
// stored: state.<key>.
func StateChangeSubject(key string) string { return StateChangePrefix + "." + key }

// StateChangePrefix is the first token of a changed key's subject.
const StateChangePrefix = "state"
