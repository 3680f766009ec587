package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/testing/telegramtest"
)

// naiveTime is a little more than a storm takes to be published.
const naiveTime = time.Minute

// naive lets the naive notifier report a storm, until it has reported all or for
// naiveTime.
func (b *bench) naive(ctx context.Context) (o outcome, err error) {
	s, err := b.newSystem(ctx)
	if err != nil {
		return o, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	p, err := s.run(roleNaive, bus.RoleTail, "TELEGRAM_API="+s.api)
	if err != nil {
		return o, err
	}
	defer func() { err = errors.Join(err, p.Stop()) }()
	began := time.Now()
	err = s.publish(ctx, b.alerts, b.burst, func() error { return nil })
	for err == nil && s.sent.Load() < int64(b.alerts) && time.Since(began) < naiveTime {
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
	}
	o.requests, o.messages = int(s.sent.Load()), len(s.telegram.Messages())
	return o, err
}

// tellNaively sends a message for each alert at once, and goes on to the next if
// the chat says that it is too many.
func tellNaively(ctx context.Context) error {
	key, err := nats.NkeyOptionFromSeed(os.Getenv("NATS_NKEY_SEED_FILE"))
	if err != nil {
		return err
	}
	nc, err := nats.Connect(os.Getenv("NATS_URL"), key, nats.CustomInboxPrefix(bus.InboxPrefix(bus.RoleTail)))
	if err != nil {
		return err
	}
	defer nc.Close()
	url := os.Getenv("TELEGRAM_API") + "/bot" + telegramtest.Token + "/sendMessage"
	_, err = nc.Subscribe(proto.StoredPrefix+"."+string(proto.ClassAlert)+".>", func(m *nats.Msg) {
		var e proto.Event
		if json.Unmarshal(m.Data, &e) != nil {
			return
		}
		body, _ := json.Marshal(map[string]string{"chat_id": chatID, "text": fmt.Sprintf("%s: %s", e.Severity, e.Title)})
		response, err := http.Post(url, "application/json", bytes.NewReader(body))
		if err != nil {
			return
		}
		defer response.Body.Close()
		_, _ = io.Copy(io.Discard, response.Body)
	})
	if err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}
