package campaign

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/publish"
)

// src publishes alerts, each once, despite any fault of the server.
type src struct {
	name      string
	publisher *publish.Publisher
	random    *rand.Rand
	seed      uint64
	pause     time.Duration // between bursts, about
	ids       []string      // of what it has published
}

func newSource(ctx context.Context, conn *bus.Conn, name string, seed uint64, pause time.Duration) (*src, error) {
	fence := bus.NewFence(conn, proto.AlertsStream(name), proto.SourceFilter(host, name))
	s := &src{
		name:      name,
		publisher: publish.New(fence, slog.New(slog.DiscardHandler), unobserved{}),
		random:    rand.New(rand.NewPCG(seed, 1)),
		seed:      seed,
		pause:     pause,
	}
	_, err := s.publisher.Resume(ctx)
	return s, err
}

// run publishes bursts until done is closed: mostly a few alerts, at times more
// than cards can show.
func (s *src) run(ctx context.Context, done <-chan struct{}) error {
	for {
		n := 1 + s.random.IntN(3)
		if s.random.IntN(6) == 0 {
			n = 8 + s.random.IntN(60)
		}
		var msgs []*nats.Msg
		for range n {
			msgs = append(msgs, s.alert())
		}
		if err := s.publisher.Publish(ctx, msgs); err != nil {
			return fmt.Errorf("publishing alerts: %w", err)
		}
		timer := time.NewTimer(s.pause/2 + time.Duration(s.random.Int64N(int64(s.pause)))) // as traffic has it
		select {
		case <-timer.C:
		case <-done:
			timer.Stop()
			return nil
		}
	}
}

func (s *src) alert() *nats.Msg {
	id := sha256.Sum256(fmt.Appendf(nil, "%s %d %d", s.name, s.seed, len(s.ids)))
	e := proto.Event{
		ID:     hex.EncodeToString(id[:16]),
		Time:   time.Now().UTC(),
		Host:   host,
		Source: s.name,
		Kind:   "alert",
		Title:  fmt.Sprintf("campaign rule %d", s.random.IntN(40)),
		Src:    &proto.Endpoint{IP: fmt.Sprintf("192.0.2.%d", s.random.IntN(20))},
	}
	severities := []proto.Severity{proto.SeverityLow, proto.SeverityMedium, proto.SeverityMedium, proto.SeverityHigh, proto.SeverityCritical}
	e.SetSeverity(severities[s.random.IntN(len(severities))])
	s.ids = append(s.ids, e.ID)
	msg := &nats.Msg{Subject: e.Subject().Ingest(), Data: e.AppendJSON(nil), Header: nats.Header{}}
	msg.Header.Set(proto.HeaderEventID, e.ID)
	return msg
}

// unobserved implements [publish.Observer] for nobody.
type unobserved struct{}

var _ publish.Observer = unobserved{}

func (unobserved) Stored(int, time.Duration) {}
func (unobserved) Waiting(error)             {}
func (unobserved) Fenced()                   {}
