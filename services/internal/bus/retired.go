package bus

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/openclaw-security/bus/proto"
)

// retired reports whether an upgraded bus alone has the stream.
func retired(stream string) bool {
	return slices.ContainsFunc(proto.RetiredStreams(), func(s proto.Stream) bool { return s.Name == stream })
}

// withoutRetired returns the durables but those of a retired stream that the bus does
// not have.
func (c *Conn) withoutRetired(ctx context.Context, defs []proto.Consumer) ([]proto.Consumer, error) {
	have, err := c.existing(ctx, proto.RetiredStreams())
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(defs), func(def proto.Consumer) bool { return retired(def.Stream) && have[def.Stream] == nil }), nil
}

// existing returns those of the streams that the bus has, by their names.
func (c *Conn) existing(ctx context.Context, defs []proto.Stream) (map[string]*jetstream.StreamInfo, error) {
	have := make(map[string]*jetstream.StreamInfo)
	for _, def := range defs {
		info, err := c.streamInfo(ctx, def.Name)
		if errors.Is(err, ErrNotProvisioned) {
			continue
		}
		if err != nil {
			return nil, err
		}
		have[def.Name] = info
	}
	return have, nil
}

// recoverRetired brings retired streams back that a server has on its disk and does not
// load, because a cluster has left them there (see createStream). Whether it has is found
// out by creating them, if the server has loaded no other stream either.
func (c *Conn) recoverRetired(ctx context.Context, config ProvisionConfig) (ProvisionResult, error) {
	have, err := c.existing(ctx, config.streams())
	if err != nil || len(have) > 0 {
		return nil, err
	}
	for _, def := range proto.RetiredStreams() {
		want := streamConfig(def, config, jetstream.StreamConfig{})
		want.MaxBytes = -1 // it keeps what it holds
		create := c.request("$JS.API.STREAM.CREATE."+def.Name, func(ctx context.Context) error { return c.createStream(ctx, want) })
		if err := create(ctx); err != nil {
			return nil, err
		}
	}
	removed, err := c.removeRetired(ctx)
	if err != nil || removed != nil {
		return nil, err // they were not there
	}
	var result ProvisionResult
	for _, def := range proto.RetiredStreams() {
		result = append(result, Provisioned{Kind: "stream", Name: def.Name, Action: "recovered"})
	}
	return result, nil
}

// removeRetired removes the retired streams if all that there are are empty: one that is
// copied from goes with the other.
func (c *Conn) removeRetired(ctx context.Context) (ProvisionResult, error) {
	have, err := c.existing(ctx, proto.RetiredStreams())
	if err != nil {
		return nil, err
	}
	for _, info := range have {
		if info.State.Msgs > 0 || checkUpgradable("", info.Config.Metadata) != nil {
			return nil, nil // planning looks at the version
		}
	}
	var result ProvisionResult
	for _, name := range slices.Sorted(maps.Keys(have)) {
		remove := c.request("$JS.API.STREAM.DELETE."+name, func(ctx context.Context) error { return c.js.DeleteStream(ctx, name) })
		if err := remove(ctx); err != nil {
			return nil, err
		}
		result = append(result, Provisioned{Kind: "stream", Name: name, Action: "removed"})
	}
	return result, nil
}
