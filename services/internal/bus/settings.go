package bus

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/openclaw-security/bus/proto"
)

// streamConfig returns have with all that the definition and the config say about
// it. What they do not say, an operator may have set: it stays.
func streamConfig(def proto.Stream, config ProvisionConfig, have jetstream.StreamConfig) jetstream.StreamConfig {
	limits := config.Limits[def.Name]
	want := have
	want.Name = def.Name
	want.Description = def.Description
	want.Subjects = def.Subjects
	want.Sources = nil
	for _, s := range def.Sources {
		want.Sources = append(want.Sources, &jetstream.StreamSource{Name: s.Stream, FilterSubject: s.Filter})
	}
	want.SubjectTransform, want.RePublish = nil, nil
	if def.Stored {
		stored := proto.StoredPrefix + ".>"
		want.SubjectTransform = &jetstream.SubjectTransformConfig{Source: proto.IngestPrefix + ".>", Destination: stored}
		want.RePublish = &jetstream.RePublish{Source: stored, Destination: stored}
	}
	want.Storage = jetstream.FileStorage
	want.Retention = jetstream.LimitsPolicy
	want.Discard = jetstream.DiscardOld
	if def.Discard == proto.DiscardNew {
		want.Discard = jetstream.DiscardNew
	}
	want.MaxBytes = cmp.Or(limits.MaxBytes, def.MaxBytes)
	want.MaxAge = cmp.Or(limits.MaxAge, def.MaxAge)
	want.Replicas = cmp.Or(config.Replicas, 1)
	want.Compression = jetstream.NoCompression
	want.AllowDirect = true
	want.AllowAtomicPublish = def.Atomic
	want.DenyDelete = def.AppendOnly
	want.DenyPurge = def.AppendOnly
	want.MaxMsgsPerSubject = -1
	want.MaxMsgs = cmp.Or(def.MaxMsgs, have.MaxMsgs, -1)
	want.MaxMsgSize = cmp.Or(int32(def.MaxMsgBytes), have.MaxMsgSize, -1)
	// A rollup would let a message to one key remove all others.
	want.AllowRollup = false
	if def.LastOnly {
		// What clients' key-value APIs expect of a bucket's stream (NATS ADR-8).
		want.MaxMsgsPerSubject, want.DenyDelete = 1, true
		want.AllowMsgTTL = true
		want.RePublish = &jetstream.RePublish{Source: def.Subjects[0], Destination: proto.StateChangeSubject(">")}
	}
	want.Metadata = withVersion(have.Metadata)
	return want
}

// consumerConfig is streamConfig for a durable. A new one begins behind sequence
// after; one that is there keeps its place.
func consumerConfig(def proto.Consumer, have jetstream.ConsumerConfig, after uint64) jetstream.ConsumerConfig {
	want := have
	want.Durable = def.Durable
	want.Description = def.Description
	if have.Durable == "" && after > 0 {
		want.DeliverPolicy, want.OptStartSeq = jetstream.DeliverByStartSequencePolicy, after+1
	}
	want.AckPolicy = jetstream.AckExplicitPolicy
	want.AckWait = def.AckWait
	want.MaxDeliver = -1
	want.MaxAckPending = def.MaxAckPending
	want.FilterSubject, want.FilterSubjects = "", def.Filters
	want.Metadata = withVersion(have.Metadata)
	return want
}

func withVersion(have map[string]string) map[string]string {
	metadata := maps.Clone(have)
	if metadata == nil {
		metadata = make(map[string]string)
	}
	metadata[proto.MetadataSchema] = strconv.Itoa(proto.SchemaVersion)
	return metadata
}

// setting is one governed part of a configuration, as text: two configurations
// are compared, and their difference shown, in the same terms.
type setting struct {
	name  string
	value string
	fixed bool  // the server cannot change it
	size  int64 // of a limit, for telling whether it shrinks; 0 otherwise
}

func streamSettings(c jetstream.StreamConfig) []setting {
	var sources []string
	for _, s := range c.Sources {
		sources = append(sources, s.Name+" "+s.FilterSubject)
	}
	transform, republish := "none", "none"
	if t := c.SubjectTransform; t != nil {
		transform = t.Source + " to " + t.Destination
	}
	if r := c.RePublish; r != nil {
		republish = fmt.Sprintf("%s to %s headers_only=%t", r.Source, r.Destination, r.HeadersOnly)
	}
	return []setting{
		{name: "description", value: c.Description},
		{name: "subjects", value: strings.Join(c.Subjects, " ")},
		{name: "sources", value: strings.Join(sources, ", ")},
		{name: "subject_transform", value: transform},
		{name: "republish", value: republish},
		{name: "storage", value: c.Storage.String(), fixed: true},
		{name: "retention", value: c.Retention.String(), fixed: true},
		{name: "discard", value: c.Discard.String()},
		{name: "max_bytes", value: strconv.FormatInt(c.MaxBytes, 10), size: limit(c.MaxBytes)},
		{name: "max_age", value: c.MaxAge.String(), size: limit(int64(c.MaxAge))},
		{name: "replicas", value: strconv.Itoa(c.Replicas), size: int64(c.Replicas)},
		{name: "compression", value: c.Compression.String()},
		{name: "allow_direct", value: strconv.FormatBool(c.AllowDirect)},
		{name: "allow_atomic", value: strconv.FormatBool(c.AllowAtomicPublish)},
		{name: "deny_delete", value: strconv.FormatBool(c.DenyDelete), fixed: c.DenyDelete},
		{name: "deny_purge", value: strconv.FormatBool(c.DenyPurge), fixed: c.DenyPurge},
		{name: "max_msgs_per_subject", value: strconv.FormatInt(c.MaxMsgsPerSubject, 10)},
		{name: "max_msgs", value: strconv.FormatInt(c.MaxMsgs, 10)},
		{name: "max_msg_size", value: strconv.FormatInt(int64(c.MaxMsgSize), 10)},
		{name: "allow_msg_ttl", value: strconv.FormatBool(c.AllowMsgTTL), fixed: c.AllowMsgTTL},
		{name: "allow_rollup", value: strconv.FormatBool(c.AllowRollup)},
		{name: proto.MetadataSchema, value: c.Metadata[proto.MetadataSchema]},
	}
}

func consumerSettings(c jetstream.ConsumerConfig) []setting {
	return []setting{
		{name: "description", value: c.Description},
		{name: "ack_policy", value: c.AckPolicy.String(), fixed: true},
		{name: "ack_wait", value: c.AckWait.String()},
		{name: "max_deliver", value: strconv.Itoa(c.MaxDeliver)},
		{name: "max_ack_pending", value: strconv.Itoa(c.MaxAckPending)},
		{name: "filters", value: strings.Join(c.FilterSubjects, " ")},
		{name: proto.MetadataSchema, value: c.Metadata[proto.MetadataSchema]},
	}
}

// limit makes "no limit", which the server writes as 0 or -1, the largest one.
func limit(v int64) int64 {
	if v <= 0 {
		return int64(^uint64(0) >> 1)
	}
	return v
}

// compare returns the differences in words. It refuses those that the server
// would, and those that would take something away, all at once.
func compare(have, want []setting, allowShrink bool) ([]string, error) {
	var changes []string
	var faults []error
	for i, h := range have {
		w := want[i]
		if h.value == w.value {
			continue
		}
		change := fmt.Sprintf("%s: %s → %s", h.name, h.value, w.value)
		switch {
		case h.fixed:
			faults = append(faults, fmt.Errorf("%s: the server cannot change this", change))
		case w.size < h.size && !allowShrink:
			faults = append(faults, fmt.Errorf("%s: this would delete messages or copies of them; allow shrinking if that is intended", change))
		default:
			changes = append(changes, change)
		}
	}
	return changes, errors.Join(faults...)
}
