package campaign

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/notifier"
	"github.com/openclaw-security/bus/services/testing/bustest"
	"github.com/openclaw-security/bus/services/testing/childproc"
	"github.com/openclaw-security/bus/services/testing/telegramtest"
)

// patience is how long things that must happen soon may take: starting and
// stopping a process, connecting.
const patience = 30 * time.Second

// rig is all that takes part.
type rig struct {
	t        *testing.T
	log      childproc.Log
	telegram *telegramtest.Server
	gate     *gate
	sinks    []string // by the order of chats
	server   *bustest.Server
	notifier *childproc.Process
	operator *bus.Conn
}

// The chats by their place among chats. A person's takes more requests than the
// others, so that most of the trouble goes there.
const (
	person  = 0 // the first of them
	persons = 3
	group   = person + persons
	forum   = group + 1
)

// chats are what the notifier delivers to: of each sort that behaves in a way of
// its own one at least.
func chats() []telegramtest.Chat {
	var all []telegramtest.Chat
	for i := range int64(persons) {
		all = append(all, telegramtest.Chat{ID: telegramtest.PrivateID + i, Type: "private", Title: "Owner"})
	}
	return append(all,
		telegramtest.Chat{ID: telegramtest.GroupID, Type: "group", Title: "Small group"},
		telegramtest.Chat{ID: telegramtest.SupergroupID, Type: "supergroup", Title: "Forum", Topics: []int64{telegramtest.Topic}})
}

// setting is TELEGRAM_CHAT_ID.
func setting(chats []telegramtest.Chat) string {
	var words []string
	for _, c := range chats {
		word := strconv.FormatInt(c.ID, 10)
		for _, topic := range c.Topics {
			word += ":" + strconv.FormatInt(topic, 10)
		}
		words = append(words, word)
	}
	return strings.Join(words, ",")
}

// newRig starts everything. ackWait is how long the server waits for the
// acknowledgement of what a notifier had that was killed.
func newRig(t *testing.T, perMinute int, ackWait time.Duration) *rig {
	t.Helper()
	r := &rig{t: t, telegram: telegramtest.New(telegramtest.Config{Chats: chats()})}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the last that was logged:\n%s", r.log.String())
		}
	})
	r.gate = &gate{standIn: r.telegram, sinkOf: r.sinkOf, armed: make(map[string]*ambush)}
	web := httptest.NewServer(r.gate)
	t.Cleanup(web.Close)

	environ := []string{
		"TELEGRAM_BOT_TOKEN=" + telegramtest.Token,
		"TELEGRAM_CHAT_ID=" + setting(chats()),
		"TELEGRAM_API=" + web.URL,
		fmt.Sprintf("ALERT_MAX_PER_MINUTE=%d", perMinute),
		"DAILY_REPORT_HOUR=", "NOTIFIER_TIMEZONE=UTC", "ADMIN_ADDR=",
	}
	var cfg notifier.Config
	r.must(config.Load(&cfg, environ))
	r.sinks = cfg.Chats()
	durables := cfg.Consumers(bustest.AlertStreams())
	for i := range durables {
		durables[i].AckWait = ackWait
	}
	var err error
	r.server, err = bustest.StartServer(t.TempDir(), &r.log, durables...)
	r.must(err)
	r.server.EndWith(t)
	r.must(r.server.Provision(t.Context(), bus.ProvisionConfig{Consumers: durables}))
	r.operator = r.server.Conn(t, bus.RoleOperator)

	r.notifier = &childproc.Process{Role: roleNotifier, Log: &r.log, Env: append(environ, r.server.Environ(notifier.Role)...)}
	r.notifier.Run(t)
	return r
}

func (r *rig) killNotifier() { r.restart(r.notifier) }

func (r *rig) killServer() { r.restart(&r.server.Process) }

// restart kills a process and starts the next. One that has ended by itself is a
// fault, after which the campaign goes on.
func (r *rig) restart(p *childproc.Process) {
	if err := p.Restart(); err != nil {
		r.t.Error(err)
	}
}

// sinkOf is the sink that a chat's id belongs to, "" if none does.
func (r *rig) sinkOf(chat string) string {
	id, err := strconv.ParseInt(chat, 10, 64)
	switch {
	case err != nil:
		return ""
	case id >= telegramtest.PrivateID && id < telegramtest.PrivateID+persons:
		return r.sinks[id-telegramtest.PrivateID]
	case id == telegramtest.SupergroupID:
		return r.sinks[forum]
	case id == telegramtest.GroupID, id < movedGroup(1)+1 && id > movedGroup(1)-maxMoves:
		return r.sinks[group]
	}
	return ""
}

// maxMoves bounds how often the group moves.
const maxMoves = 10_000

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// eventually waits until holds returns true, and fails the test if it does not in
// time.
func (r *rig) eventually(what string, within time.Duration, holds func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(within); !holds(); {
		if time.Now().After(deadline) {
			r.t.Fatalf("still not after %s: %s", within, what)
		}
		time.Sleep(10 * time.Millisecond) // between looks; the deadline decides
	}
}

// unfinished says what is still under way, "" if every one of n alerts has been
// dealt with for good.
func (r *rig) unfinished(n int) string {
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	o, err := r.operator.Overview(ctx)
	if err != nil {
		return err.Error()
	}
	stored := uint64(0)
	for _, s := range o.Streams {
		if slices.Contains(bustest.AlertStreams(), s.Name) {
			stored += s.Messages
		}
	}
	if stored < uint64(n) {
		return fmt.Sprintf("%d of %d alerts are in their streams", stored, n)
	}
	for _, sink := range r.sinks {
		for _, d := range o.Durables {
			if !isLane(sink, d.Stream, d.Name) {
				continue
			}
			if p := d.Progress; d.Err != nil || p.Pending+uint64(p.Unacked) > 0 {
				return fmt.Sprintf("%s: %d alerts wait, %d are unacknowledged, %v", d.Name, p.Pending, p.Unacked, d.Err)
			}
		}
		if err := r.planned(ctx, sink); err != nil {
			return err.Error()
		}
	}
	return ""
}

// isLane reports whether a durable is one of a sink's.
func isLane(sink, stream, durable string) bool {
	return slices.ContainsFunc(proto.LaneConsumers(sink, stream), func(c proto.Consumer) bool { return c.Durable == durable })
}

// planned is an error while the sink has a message under way.
func (r *rig) planned(ctx context.Context, sink string) error {
	value, _, err := r.operator.Get(ctx, proto.KeyDelivery(sink))
	if err != nil {
		return err
	}
	var state struct {
		Plan       *struct{} `json:"plan"`
		Unrecorded *struct{} `json:"unrecorded"`
	}
	if err := json.Unmarshal(value, &state); err != nil {
		return fmt.Errorf("reading the state of %s: %w", sink, err)
	}
	if state.Plan != nil || state.Unrecorded != nil {
		return errors.New(sink + " has a message under way")
	}
	return nil
}
