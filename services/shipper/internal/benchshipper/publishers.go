package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/hpcloud/tail"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/daemon"
	"github.com/openclaw-security/bus/services/shipper"
	"github.com/openclaw-security/bus/services/shipper/internal/normalize"
	"github.com/openclaw-security/bus/services/shipper/internal/normalize/suricata"
)

// child runs one of the measured processes and returns its exit code.
func child(role string) int {
	// From the start: the interrupt may come as soon as the last event is stored.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	switch role {
	case "server":
		err = serve(ctx)
	case "shipper":
		debug.SetGCPercent(50) // as the shipper's own main does
		code := daemon.Program[shipper.Config]{Name: "shipper", Run: shipper.Run}.Main(nil)
		if code != 0 {
			return code
		}
	case "baseline":
		err = publishBaseline(ctx)
	case "ceiling":
		err = publishCeiling(ctx)
	default:
		err = fmt.Errorf("unknown role %q", role)
	}
	if err == nil {
		err = writeStats()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, role+":", err)
		return 1
	}
	return 0
}

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
	fence := bus.NewFence(conn, proto.StreamSecurity, proto.SourceFilter(cfg.Host, cfg.Source))
	if _, err := fence.Last(ctx); err != nil {
		return err
	}
	prepared := prepare(cfg)
	for sent := 0; sent < n; {
		msgs := make([]*nats.Msg, min(proto.MaxBatch, n-sent))
		for i := range msgs {
			p := prepared[(sent+i)%len(prepared)]
			msgs[i] = &nats.Msg{Subject: p.Subject, Data: p.Data, Header: nats.Header{
				proto.HeaderEventID:    p.Header[proto.HeaderEventID],
				proto.HeaderCheckpoint: p.Header[proto.HeaderCheckpoint],
				proto.HeaderInstance:   p.Header[proto.HeaderInstance],
			}}
		}
		// The interrupt may come before the last acknowledgement.
		if err := fence.Publish(context.WithoutCancel(ctx), msgs); err != nil {
			return err
		}
		sent += len(msgs)
	}
	<-ctx.Done()
	return nil
}

// prepare makes a message of each line of the mix.
func prepare(cfg shipper.Config) []*nats.Msg {
	n := normalize.Normalizer{Host: cfg.Host, Source: cfg.Source, Sensor: suricata.Sensor{}, Now: time.Now}
	var msgs []*nats.Msg
	for i, line := range mix() {
		var e proto.Event
		n.Event(&e, line[:len(line)-1], proto.Origin{File: "eve.json", Generation: "0123456789abcdef", Offset: int64(i)})
		msgs = append(msgs, &nats.Msg{Subject: e.Subject().Ingest(), Data: e.AppendJSON(nil), Header: nats.Header{
			proto.HeaderEventID:    {e.ID},
			proto.HeaderCheckpoint: {"0123456789abcdef@1234567+0123456789abcdef"},
			proto.HeaderInstance:   {"0123456789abcdef"},
		}})
	}
	return msgs
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
