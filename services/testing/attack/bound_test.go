package attack

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/openclaw-security/bus/services"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/natsconf"
	"github.com/openclaw-security/bus/services/internal/service"
)

// publishers returns the roles of the stack that publish, whose keys an attacker may
// have: those of all sources, services included.
func (s *stack) publishers() []bus.Role {
	s.t.Helper()
	layout, err := services.Layout(service.NewDeployment(s.environ))
	if err != nil {
		s.t.Fatal(err)
	}
	return slices.DeleteFunc(layout.Roles, func(r bus.Role) bool {
		return !slices.ContainsFunc(r.Publish, func(subject string) bool { return strings.HasPrefix(subject, "ingest.") })
	})
}

// streams returns what the server says about all streams.
func (s *stack) streams() map[string]streamInfo {
	s.t.Helper()
	nc := s.holder(bus.RoleOperator)
	var names struct{ Streams []string }
	if err := json.Unmarshal([]byte(request(nc, &nats.Msg{Subject: "$JS.API.STREAM.NAMES"})), &names); err != nil || len(names.Streams) == 0 {
		s.t.Fatalf("the names of the streams: %v", err)
	}
	streams := make(map[string]streamInfo)
	for _, name := range names.Streams {
		var info streamInfo
		if err := json.Unmarshal([]byte(request(nc, &nats.Msg{Subject: "$JS.API.STREAM.INFO." + name})), &info); err != nil {
			s.t.Fatal(err)
		}
		streams[name] = info
	}
	return streams
}

type streamInfo struct {
	Config struct {
		MaxBytes int64 `json:"max_bytes"`
	}
	State struct {
		Messages, Bytes int64
		Subjects        int `json:"num_subjects"`
	}
}

// others demands that alerts of another source than the attacker's arrive, now and
// after a restart.
func (s *stack) others(what string) {
	s.t.Helper()
	s.write("eve.json", alert("during "+what, 1, "Critical"))
	s.inChat("during " + what)
	if err := s.process.Stop(); err != nil {
		s.t.Fatal(err)
	}
	s.up()
	s.write("eve.json", alert("after "+what, 1, "Critical"))
	s.inChat("after " + what)
}

// growth demands that what the attack has cost the process in memory is little: the
// made-up subjects alone would have taken more.
func (s *stack) growth(attack func()) {
	s.t.Helper()
	before, err := s.process.Usage()
	if err != nil {
		s.t.Fatal(err)
	}
	attack()
	after, err := s.process.Usage()
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Logf("from %d to %d MiB", before.RSS>>20, after.RSS>>20)
	const most = 256 << 20
	if !raceDetector && after.RSS-before.RSS > most {
		s.t.Errorf("the process grew from %d to %d MiB", before.RSS>>20, after.RSS>>20)
	}
}

// TestManySubjects: the key of a source makes the server remember a few hundred
// subjects, however many it makes up.
func TestManySubjects(t *testing.T) {
	const made = 3000
	s := newStack(t, "SECBUS_SOURCES=sshd", "ALERT_MAX_PER_MINUTE=60").up()
	allowed := make(map[string]bool)
	s.growth(func() {
		for _, role := range s.publishers() {
			nc := s.holder(role.Name)
			prefixes := make(map[string]bool)
			for _, subject := range role.Publish {
				if !strings.HasPrefix(subject, "ingest.") {
					continue
				}
				tokens := strings.Split(subject, ".")
				prefixes[strings.Join(tokens[:4], ".")] = true
				if strings.ContainsAny(subject, "*>") {
					continue
				}
				allowed[subject] = true
				if r := request(nc, &nats.Msg{Subject: subject, Data: event(len(allowed), tokens[3], "one of every subject", tokens[5])}); strings.Contains(r, "error") {
					t.Fatalf("%s does not publish %s, so the test proves nothing: %s", role.Name, subject, r)
				}
			}
			for prefix := range prefixes {
				for n := range made {
					for _, subject := range []string{fmt.Sprintf("%s.k%d.info", prefix, n), fmt.Sprintf("%s.other.s%d", prefix, n), fmt.Sprintf("%s.other.low.x%d", prefix, n)} {
						if err := nc.Publish(subject, nil); err != nil {
							t.Fatal(err)
						}
					}
				}
			}
			if err := nc.FlushTimeout(patience); err != nil {
				t.Fatal(err)
			}
		}
	})
	subjects := 0
	for name, stream := range s.streams() {
		if strings.HasPrefix(name, "KV_") || stream.State.Messages == 0 {
			continue
		}
		t.Logf("%s: %d subjects", name, stream.State.Subjects)
		subjects += stream.State.Subjects
		if stream.State.Subjects > 700 {
			t.Errorf("%s has %d subjects", name, stream.State.Subjects)
		}
	}
	// Those that records of the stack's chat add.
	if subjects < len(allowed) || subjects > len(allowed)+10 {
		t.Errorf("the streams have %d subjects, where %d may be published", subjects, len(allowed))
	}
	s.others("the flood of subjects")
}

// TestManySubscriptions: the key of a source keeps a bounded number of connections and
// subscriptions, and keeps nobody else from having theirs.
func TestManySubscriptions(t *testing.T) {
	s := newStack(t).up()
	s.growth(func() {
		for _, role := range s.publishers() {
			key, err := nats.NkeyOptionFromSeed(s.path("data/keys/" + role.Name + ".nk"))
			if err != nil {
				t.Fatal(err)
			}
			connections := 0
			for range natsconf.MaxRoleConnections + 8 {
				var refused atomic.Bool
				nc, err := nats.Connect(s.nats, key, nats.NoReconnect(), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
					if errors.Is(err, nats.ErrMaxSubscriptionsExceeded) {
						refused.Store(true)
					}
				}))
				if err != nil {
					continue // all places of the role are taken
				}
				connections++
				t.Cleanup(nc.Close)
				for n := range natsconf.MaxSubscriptions + 44 {
					if _, err := nc.SubscribeSync(fmt.Sprintf("%s.made-up.%d", bus.InboxPrefix(role.Name), n)); err != nil {
						break
					}
				}
				_ = nc.FlushTimeout(10 * time.Second) // the server may have closed the connection
				s.eventually("the server refuses more subscriptions", func() bool { return refused.Load() || nc.IsClosed() })
			}
			if connections == 0 || connections > natsconf.MaxRoleConnections {
				t.Errorf("%s has %d connections", role.Name, connections)
			}
		}
	})
	s.others("the flood of subscriptions")
}

// TestFilledState: neither the operator's key nor that of a source fills the buckets that
// the services keep their state in: the notifier plans and delivers.
func TestFilledState(t *testing.T) {
	s := newStack(t, "STORE_MAX=251658240").up() // the smallest that is accepted
	s.write("eve.json", alert("before", 1, "Critical"))
	s.inChat("before")
	nc := s.holder(bus.RoleOperator)
	stored := 0
	large := func(size int) []byte { return []byte(`"` + strings.Repeat("x", size) + `"`) }
	for n := range 1200 {
		if r := request(nc, &nats.Msg{Subject: fmt.Sprintf("$KV.SECURITY_REQUESTS.requests.notifier.made-up-%d", n), Data: large(60 << 10)}); !strings.Contains(r, "error") {
			stored++
		}
	}
	if stored < 1000 {
		t.Fatalf("only %d requests are stored, so the test proves nothing", stored)
	}
	for _, key := range []string{"requests.notifier.x", "delivery.telegram-42", "delivery.made-up", "heartbeat.made-up.x", "alarms", "made-up"} {
		if r := request(nc, &nats.Msg{Subject: "$KV.SECURITY_STATE." + key, Data: large(1 << 20)}); !strings.Contains(r, "error") {
			t.Errorf("the operator sets %s: %s", key, r)
		}
	}
	var many []map[string]string
	for n := range 3000 {
		many = append(many, map[string]string{"id": fmt.Sprint(n), "matcher": "$.title == \"nothing has this title\""})
	}
	silences, err := json.Marshal(many)
	if err != nil {
		t.Fatal(err)
	}
	for _, value := range [][]byte{large(2 << 20), large(575 << 10), silences} {
		request(nc, &nats.Msg{Subject: "$KV.SECURITY_STATE.silences", Data: value})
	}
	for _, role := range s.publishers() {
		nc := s.holder(role.Name)
		for _, subject := range role.Publish {
			if strings.HasPrefix(subject, "$KV.SECURITY_STATE.heartbeat.") {
				for _, size := range []int{2 << 20, 575 << 10} {
					request(nc, &nats.Msg{Subject: subject, Data: large(size)})
				}
				if r := request(nc, &nats.Msg{Subject: subject + ".made-up", Data: large(1)}); !strings.Contains(r, "error") {
					t.Errorf("%s sets %s.made-up", role.Name, subject)
				}
			}
		}
	}
	state := s.streams()["KV_SECURITY_STATE"]
	t.Logf("the state takes %d of %d KiB", state.State.Bytes>>10, state.Config.MaxBytes>>10)
	if state.State.Bytes > state.Config.MaxBytes/2 {
		t.Errorf("the state takes %d of %d bytes", state.State.Bytes, state.Config.MaxBytes)
	}
	s.others("the flood of keys")
}
