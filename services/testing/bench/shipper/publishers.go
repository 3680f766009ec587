package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/hpcloud/tail"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/shipper"
)

// settings are what publishers of their own read, as the shipper does.
func settings() (shipper.Config, int, error) {
	var cfg shipper.Config
	if err := config.Load(&cfg, os.Environ()); err != nil {
		return cfg, 0, err
	}
	n, err := strconv.Atoi(os.Getenv(eventsVar))
	return cfg, n, err
}

// publishCeiling publishes prepared messages in fenced batches: all that is left
// when following, normalizing and encoding cost nothing.
func publishCeiling(ctx context.Context) error {
	cfg, n, err := settings()
	if err != nil {
		return err
	}
	key, err := cfg.NATS.Key()
	if err != nil {
		return err
	}
	conn, err := bus.Connect(ctx, bus.Options{URL: cfg.NATS.URL, Role: bus.ShipperRole(cfg.Source), Key: key})
	if err != nil {
		return err
	}
	defer conn.Close()
	filter := proto.SourceFilter(cfg.Host, cfg.Source)
	fences := []*bus.Fence{
		bus.NewFence(conn, proto.AlertsStream(cfg.Source), filter),
		bus.NewFence(conn, proto.EventsStream(cfg.Source), filter),
	}
	for _, fence := range fences {
		if _, err := fence.Last(ctx); err != nil {
			return err
		}
	}
	prepared, err := readPrepared()
	if err != nil {
		return err
	}
	for sent := 0; sent < n; {
		var parts [2][]*nats.Msg // alerts and events
		round := min(proto.MaxBatch, n-sent)
		for i := range round {
			p := prepared[(sent+i)%len(prepared)]
			part := &parts[1]
			if strings.HasPrefix(p.Subject, proto.IngestPrefix+"."+string(proto.ClassAlert)) {
				part = &parts[0]
			}
			*part = append(*part, &nats.Msg{Subject: p.Subject, Data: p.Data, Header: nats.Header{
				proto.HeaderEventID:    p.Header[proto.HeaderEventID],
				proto.HeaderCheckpoint: p.Header[proto.HeaderCheckpoint],
				proto.HeaderInstance:   p.Header[proto.HeaderInstance],
				proto.HeaderBase:       p.Header[proto.HeaderBase],
				proto.HeaderRound:      p.Header[proto.HeaderRound],
				proto.HeaderPlace:      p.Header[proto.HeaderPlace],
			}})
		}
		// The interrupt may come before the last acknowledgement.
		var group errgroup.Group
		for i, part := range parts {
			if len(part) > 0 {
				group.Go(func() error { return fences[i].Publish(context.WithoutCancel(ctx), part) })
			}
		}
		if err := group.Wait(); err != nil {
			return err
		}
		sent += round
	}
	<-ctx.Done()
	return nil
}

// preparedVar in the environment names the file that [bench.prepare] wrote.
const preparedVar = "BENCHSHIPPER_PREPARED"

func readPrepared() (msgs []*nats.Msg, err error) {
	text, err := os.ReadFile(os.Getenv(preparedVar))
	if err != nil {
		return nil, err
	}
	return msgs, json.Unmarshal(text, &msgs)
}

// prepare has the shipper publish each line of the mix once and writes the
// messages to a file, of which it returns the path.
func (b *bench) prepare() (path string, err error) {
	dir, err := b.subdir("prepare")
	if err != nil {
		return "", err
	}
	lines := len(mix())
	eve := filepath.Join(dir, "eve.json")
	if _, err := writeBacklog(eve, lines); err != nil {
		return "", err
	}
	ctx := context.Background()
	s, p, err := start(ctx, dir, roleShipper, eve)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	operator, err := s.Connect(ctx, bus.RoleOperator)
	if err != nil {
		return "", err
	}
	defer operator.Close()
	if err := p.Start(); err != nil {
		return "", err
	}
	defer p.End()
	if err := waitFor(operator, uint64(lines), p); err != nil {
		return "", err
	}
	var msgs []*nats.Msg
	streams, err := operator.SecurityStreams(ctx)
	if err != nil {
		return "", err
	}
	for m, err := range operator.MergedHistory(ctx, streams, proto.StoredPrefix+".>", bus.Start{}) {
		if err != nil {
			return "", err
		}
		subject, err := proto.ParseSubject(m.Subject)
		if err != nil {
			return "", err
		}
		msgs = append(msgs, &nats.Msg{Subject: subject.Ingest(), Header: m.Header, Data: m.Data})
	}
	text, err := json.Marshal(msgs)
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, "prepared.json")
	return path, errors.Join(os.WriteFile(path, text, 0o600), p.Stop())
}

// publishBaseline is what one would write first: hpcloud/tail, encoding/json and
// asynchronous publishes, deduplicated by message id.
func publishBaseline(ctx context.Context) error {
	cfg, n, err := settings()
	if err != nil {
		return err
	}
	key, err := cfg.NATS.Key()
	if err != nil {
		return err
	}
	public, err := key.PublicKey()
	if err != nil {
		return err
	}
	role := bus.ShipperRole(cfg.Source)
	nc, err := nats.Connect(cfg.NATS.URL, nats.Nkey(public, key.Sign), nats.CustomInboxPrefix(bus.InboxPrefix(role)))
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(4000))
	if err != nil {
		return err
	}
	lines, err := tail.TailFile(cfg.Path, tail.Config{Follow: true, ReOpen: true, Logger: log.New(io.Discard, "", 0)})
	if err != nil {
		return err
	}
	for range n {
		line := <-lines.Lines
		var record map[string]any
		if err := json.Unmarshal([]byte(line.Text), &record); err != nil {
			return err
		}
		severity := proto.SeverityInfo
		if record["event_type"] == "alert" {
			severity = proto.SeverityHigh
		}
		id := sha256.Sum256([]byte(line.Text + strconv.FormatInt(time.Now().UnixNano(), 10)))
		payload, err := json.Marshal(map[string]any{
			"id":       hex.EncodeToString(id[:16]),
			"time":     record["timestamp"],
			"kind":     record["event_type"],
			"severity": severity,
			"src":      record["src_ip"],
			"dst":      record["dest_ip"],
			"raw":      record,
		})
		if err != nil {
			return err
		}
		subject := proto.NewSubject(cfg.Host, cfg.Source, fmt.Sprint(record["event_type"]), severity)
		if _, err := js.PublishAsync(subject.Ingest(), payload, jetstream.WithMsgID(hex.EncodeToString(id[:16])), jetstream.WithStallWait(time.Minute)); err != nil {
			return err
		}
	}
	<-js.PublishAsyncComplete()
	<-ctx.Done()
	return nil
}
