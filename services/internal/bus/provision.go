package bus

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/retry"
)

// ProvisionConfig is what a deployment wants to have on the bus. The zero value is
// the streams of [proto.Streams], with one replica and the default limits.
type ProvisionConfig struct {
	// Replicas of each stream; 0 means 1.
	Replicas int
	// Limits by stream name, where they are not the defaults.
	Limits map[string]Limits
	// AllowShrink allows a smaller MaxBytes, MaxAge or number of replicas than a
	// stream has, which can delete messages.
	AllowShrink bool
	// Streams are those beside [proto.Streams], among them those of sources, and
	// Consumers all durables. One in a retired stream is left out where that does not
	// exist.
	Streams   []proto.Stream
	Consumers []proto.Consumer
	// Recover has retired streams looked for that a cluster has left on the disk of a
	// server which goes on alone: such a server does not load them.
	Recover bool
	// Wait is for how long requests to servers that do not reply yet are repeated: those of
	// a cluster that have not found each other.
	Wait time.Duration
}

// Limits bound a stream. Zero values mean the stream's defaults.
type Limits struct {
	MaxBytes int64
	MaxAge   time.Duration
}

// ProvisionResult lists what Provision found and did, streams before durables.
type ProvisionResult []Provisioned

// Provisioned is one stream, durable or key and what became of it.
type Provisioned struct {
	Kind    string // "stream", "durable" or "key"
	Name    string
	Stream  string   `json:",omitempty"` // of a durable
	Action  string   // "created", "recovered", "updated", "unchanged" or "removed"
	Changes []string // of an update, such as "max_age: 24h0m0s → 720h0m0s"
}

// Provision creates the streams and durables of the config and brings existing ones
// to it. It can be repeated, and run by a later version on what an earlier one made.
// Other streams, and settings that the config does not define, stay as they are;
// durables keep their place.
//
// Retired streams are removed once all of them are empty. Apart from them and from
// config.Recover it checks everything before it changes anything, and changes nothing if a
// stream or durable is of a newer schema version or not this project's
// ([*SchemaError]), if a setting would have to change that the server cannot
// change, or if something would shrink without config.AllowShrink.
//
// Definitions are the whole migration as long as the server can update one into
// the other. A schema version for which that is not so puts its step between
// planning and applying, where the versions found are known.
func (c *Conn) Provision(ctx context.Context, config ProvisionConfig) (ProvisionResult, error) {
	if err := config.validate(); err != nil {
		return nil, err
	}
	until := time.Now().Add(config.Wait)
	var result ProvisionResult
	err := whenReady(ctx, until, func(ctx context.Context) error {
		if config.Recover {
			recovered, err := c.recoverRetired(ctx, config)
			if err != nil {
				return err
			}
			result = recovered
		}
		removed, err := c.removeRetired(ctx)
		result = append(result, removed...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("looking for streams of an earlier version: %w", err)
	}
	var streams []step
	err = whenReady(ctx, until, func(ctx context.Context) (err error) {
		streams, err = c.streamSteps(ctx, config)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("planning the streams: %w", err)
	}
	durables, err := c.durableSteps(ctx, config.Consumers)
	if err != nil {
		return nil, fmt.Errorf("planning the durables: %w", err)
	}
	for _, s := range append(streams, durables...) {
		if s.apply != nil {
			if err := whenReady(ctx, until, s.apply); err != nil {
				return result, fmt.Errorf("provisioning %s %s: %w", s.Kind, s.Name, err)
			}
		}
		result = append(result, s.Provisioned)
	}
	err = whenReady(ctx, until, func(ctx context.Context) error {
		removed, err := c.removeRequests(ctx)
		result = append(result, removed...)
		return err
	})
	if err != nil {
		return result, fmt.Errorf("removing the requests of an earlier version: %w", err)
	}
	return result, nil
}

// formerRequests are the subjects of the requests that earlier versions kept in the
// state bucket: schema version 1 a list for each sink, later ones a key for each.
const formerRequests = "$KV." + proto.BucketState + ".requests.>"

// removeRequests removes the requests of earlier versions, which nothing reads any
// more. What waits in one was asked for by a command that waits no more.
func (c *Conn) removeRequests(ctx context.Context) (ProvisionResult, error) {
	subjects, err := c.Subjects(ctx, proto.StreamState, formerRequests)
	if err != nil {
		return nil, err
	}
	var result ProvisionResult
	for subject := range subjects {
		m, err := c.lastBySubject(ctx, proto.StreamState, subject)
		if err != nil {
			return result, err
		}
		if m == nil || len(m.Data) == 0 {
			continue
		}
		if _, err := c.put(ctx, proto.StreamState, subject, nil, m.Sequence, time.Second); err != nil {
			return result, err
		}
		result = append(result, Provisioned{Kind: "key", Name: proto.StateKey(subject), Action: "removed"})
	}
	return result, nil
}

// step is what is to be done about one stream or durable; apply is nil where
// nothing is.
type step struct {
	Provisioned
	apply func(context.Context) error
}

// streams are all streams, in the order in which they are created or changed. Those
// that are retired come first: the server refuses streams whose subjects overlap.
func (p ProvisionConfig) streams() []proto.Stream {
	return slices.Concat(proto.RetiredStreams(), proto.Streams(), p.Streams)
}

func (p ProvisionConfig) validate() error {
	known := make(map[string]bool)
	for _, s := range p.streams() {
		known[s.Name] = true
	}
	for name := range p.Limits {
		if !known[name] {
			return fmt.Errorf("limits for stream %q, which the bus does not have", name)
		}
	}
	return nil
}

func (c *Conn) streamSteps(ctx context.Context, config ProvisionConfig) ([]step, error) {
	var steps []step
	var faults []error
	for _, def := range config.streams() {
		info, err := c.streamInfo(ctx, def.Name)
		switch {
		case errors.Is(err, ErrNotProvisioned) && def.Retired:
			continue
		case errors.Is(err, ErrNotProvisioned):
			want := streamConfig(def, config, jetstream.StreamConfig{})
			steps = append(steps, step{
				Provisioned: Provisioned{Kind: "stream", Name: def.Name, Action: "created"},
				apply:       c.request("$JS.API.STREAM.CREATE."+def.Name, func(ctx context.Context) error { return c.createStream(ctx, want) }),
			})
			continue
		case err != nil:
			return nil, err
		}
		if err := checkUpgradable("stream "+def.Name, info.Config.Metadata); err != nil {
			return nil, err
		}
		want := streamConfig(def, config, info.Config)
		if def.Yields && (def.Retired || !config.AllowShrink) {
			want.MaxBytes = roomFor(info, want.MaxBytes)
		}
		have, wanted := streamSettings(info.Config), streamSettings(want)
		for i := range have {
			if def.Yields && have[i].name == "max_bytes" {
				have[i].size = min(have[i].size, wanted[i].size) // it keeps what it holds
			}
		}
		changes, err := compare(have, wanted, config.AllowShrink)
		if err != nil {
			faults = append(faults, fmt.Errorf("stream %s: %w", def.Name, err))
			continue
		}
		steps = append(steps, update(Provisioned{Kind: "stream", Name: def.Name}, changes, c.request("$JS.API.STREAM.UPDATE."+def.Name, func(ctx context.Context) error {
			_, err := c.js.UpdateStream(ctx, want)
			return err
		})))
	}
	return steps, errors.Join(faults...)
}

// createStream creates a stream, and changes it once. A server that once was part of
// a cluster has the stream on its disk already, with the replicas that it had there,
// and does not load it because of them (error 10074). Creating it brings the
// messages back, but leaves the description on disk as it was, so that the next
// start would not load it either; an update writes it.
func (c *Conn) createStream(ctx context.Context, want jetstream.StreamConfig) error {
	first := want
	first.Description = "being created"
	if _, err := c.js.CreateStream(ctx, first); err != nil {
		return err
	}
	_, err := c.js.UpdateStream(ctx, want)
	return err
}

// roomFor is how large in bytes a stream that yields gets if it should be of a size: no
// smaller than what it holds, nor than it is while it still copies from another one. A
// negative size means no limit.
func roomFor(info *jetstream.StreamInfo, size int64) int64 {
	for _, s := range info.Sources {
		if s.Lag > 0 || s.Active < 0 {
			if info.Config.MaxBytes <= 0 {
				return -1
			}
			return max(size, info.Config.MaxBytes)
		}
	}
	return max(size, min(limit(info.Config.MaxBytes), int64(info.State.Bytes)))
}

func (c *Conn) durableSteps(ctx context.Context, defs []proto.Consumer) ([]step, error) {
	var steps []step
	var faults []error
	defs, err := c.withoutRetired(ctx, defs)
	if err != nil {
		return nil, err
	}
	begins, err := c.begins(ctx, defs)
	if err != nil {
		return nil, err
	}
	for _, def := range defs {
		create := "$JS.API.CONSUMER.CREATE." + def.Stream + "." + def.Durable
		info, err := c.consumerInfo(ctx, def.Stream, def.Durable)
		switch {
		case errors.Is(err, ErrNotProvisioned):
			start, predecessor := begins.of(def)
			want := consumerConfig(def, jetstream.ConsumerConfig{}, start)
			if predecessor != "" {
				want.Metadata[proto.MetadataPredecessor] = predecessor
			}
			steps = append(steps, step{
				Provisioned: Provisioned{Kind: "durable", Name: def.Durable, Stream: def.Stream, Action: "created"},
				apply: c.request(create, func(ctx context.Context) error {
					_, err := c.js.CreateConsumer(ctx, def.Stream, want)
					return err
				}),
			})
			continue
		case err != nil:
			return nil, err
		}
		if err := checkUpgradable("durable "+def.Durable, info.Config.Metadata); err != nil {
			return nil, err
		}
		want := consumerConfig(def, info.Config, 0)
		changes, err := compare(consumerSettings(info.Config), consumerSettings(want), true)
		if err != nil {
			faults = append(faults, fmt.Errorf("durable %s: %w", def.Durable, err))
			continue
		}
		steps = append(steps, update(Provisioned{Kind: "durable", Name: def.Durable, Stream: def.Stream}, changes, c.request(create, func(ctx context.Context) error {
			_, err := c.js.UpdateConsumer(ctx, def.Stream, want)
			return err
		})))
	}
	return steps, errors.Join(faults...)
}

func update(what Provisioned, changes []string, apply func(context.Context) error) step {
	if what.Action = "unchanged"; len(changes) == 0 {
		return step{Provisioned: what}
	}
	what.Action, what.Changes = "updated", changes
	return step{Provisioned: what, apply: apply}
}

// request makes a JetStream request on subject out of do.
func (c *Conn) request(subject string, do func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		ctx, end := c.beginOn(ctx, subject)
		defer end()
		if err := do(ctx); err != nil {
			return c.missing(ctx, err)
		}
		return nil
	}
}

func checkUpgradable(name string, metadata map[string]string) error {
	if have := schemaVersion(metadata); have == 0 || have > proto.SchemaVersion {
		return &SchemaError{Name: name, Have: have, Want: proto.SchemaVersion}
	}
	return nil
}

// String renders the result for a person, a line for each stream and durable.
func (r ProvisionResult) String() string {
	var b strings.Builder
	for _, p := range r {
		name := p.Name
		if p.Stream != "" {
			name += " of " + p.Stream
		}
		fmt.Fprintf(&b, "%-8s %-32s %s\n", p.Kind, name, p.Action)
		for _, change := range p.Changes {
			fmt.Fprintf(&b, "         %s\n", change)
		}
	}
	return b.String()
}

// readyRetry is how long a request waits for its next attempt while the servers
// are not ready for it.
const readyRetry = 500 * time.Millisecond

// noPeers is the code of a server of a cluster that does not know of enough
// others yet (nats-server: JSClusterNoPeersErrF, status 400).
const noPeers = 10005

// whenReady calls do, and again until the servers are ready for what it asks or
// the time is until. A server of a cluster takes connections before it has found
// the others and all have agreed on who leads.
func whenReady(ctx context.Context, until time.Time, do func(context.Context) error) error {
	return retry.Do(ctx, retry.Policy{Min: readyRetry, Max: readyRetry}, func(ctx context.Context) error {
		err := do(ctx)
		if err != nil && (!unready(err) || !time.Now().Before(until)) {
			return retry.Permanent(err)
		}
		return err
	})
}

// unready reports whether err is what servers say that have just started.
func unready(err error) bool {
	var api *jetstream.APIError
	if errors.As(err, &api) {
		return api.Code == http.StatusServiceUnavailable || api.ErrorCode == noPeers
	}
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrNotConnected) || errors.Is(err, nats.ErrNoResponders)
}
