package notifier

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/testing/bustest"
	"github.com/openclaw-security/bus/services/testing/telegramtest"
)

// newMovingRig is a chatRig whose TELEGRAM_CHAT_ID set chooses, one of ids. Standard
// output gets all alerts beside it.
func newMovingRig(t *testing.T, ids ...string) (r *chatRig, set func(id string)) {
	r = &chatRig{telegram: telegramtest.New(telegramtest.Config{})}
	common := []string{
		"TELEGRAM_BOT_TOKEN=" + telegramtest.Token, "TELEGRAM_API=" + r.telegram.Start(t),
		"DAILY_REPORT_HOUR=", "NOTIFIER_TIMEZONE=UTC", "NOTIFIER_STDOUT=always",
	}
	consumers := func(id string) []proto.Consumer {
		r.environ = append(slices.Clone(common), "TELEGRAM_CHAT_ID="+id)
		var cfg Config
		if err := config.Load(&cfg, r.environ); err != nil {
			t.Fatal(err)
		}
		return cfg.Consumers(bustest.AlertStreams())
	}
	var all []proto.Consumer
	for _, id := range ids {
		for _, c := range consumers(id) {
			if !slices.ContainsFunc(all, func(other proto.Consumer) bool { return other.Stream == c.Stream && other.Durable == c.Durable }) {
				all = append(all, c)
			}
		}
	}
	b := bustest.Start(t, bustest.Durables(all...), bustest.Provision(bus.ProvisionConfig{Consumers: bustest.Consumers()}))
	r.rig = &rig{t, b, b.Conn(t, bus.ShipperRole(bustest.Suricata))}
	r.operator = b.Conn(t, bus.RoleOperator)
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Close() })
	r.out = out
	set = func(id string) {
		t.Helper()
		provisioner := b.Conn(t, bus.RoleProvisioner)
		if _, err := provisioner.Provision(t.Context(), bus.ProvisionConfig{Consumers: append(consumers(id), bustest.Consumers()...)}); err != nil {
			t.Fatal(err)
		}
	}
	set(ids[0])
	return r, set
}

// printed waits until standard output has got n alerts.
func (r *chatRig) printed(n int) {
	r.t.Helper()
	bustest.Eventually(r.t, fmt.Sprintf("%d alerts are printed", n), func() bool {
		text, err := os.ReadFile(r.out.Name())
		return err == nil && strings.Count(string(text), "suricata") >= n
	})
}

// told is how often each alert is in a message without a mark, and in one with.
func (r *chatRig) told(titles ...string) (plain, marked map[string]int) {
	plain, marked = make(map[string]int), make(map[string]int)
	for _, m := range r.telegram.Messages() {
		for _, title := range titles {
			if n := strings.Count(m.Text, title); n > 0 && strings.HasPrefix(m.Text, "(may repeat)") {
				marked[title] += n
			} else if n > 0 {
				plain[title] += n
			}
		}
	}
	return plain, marked
}

// What waits for a chat whose id is wrong goes to the chat that takes its place,
// although another sink has delivered it: after a correction, a second one, and a time
// without any chat.
func TestACorrectedChatGetsWhatWaited(t *testing.T) {
	private := fmt.Sprint(telegramtest.PrivateID)
	for name, way := range map[string][]string{
		"corrected":                {"4", private},
		"corrected twice":          {"4", "5", private},
		"corrected back and forth": {"4", "5", "4", private},
		"a topic of a wrong group": {"-100:7", private},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ids := slices.Compact(slices.Sorted(slices.Values(way)))
			i := slices.Index(ids, way[0])
			ids[0], ids[i] = ids[i], ids[0]
			r, set := newMovingRig(t, ids...)
			var titles []string
			for i, id := range way {
				if i > 0 {
					set(id)
				}
				stop := r.start()
				for _, severity := range []proto.Severity{proto.SeverityCritical, proto.SeverityHigh, proto.SeverityMedium} {
					title := fmt.Sprintf("%s alert %d", severity, i)
					titles = append(titles, title)
					r.alert(severity, title)
				}
				r.printed(len(titles))
				if id == private {
					break
				}
				bustest.Eventually(t, "the chat was tried", func() bool { return len(r.telegram.Requests()) > 0 })
				stop()
			}
			bustest.Eventually(t, "every alert is told", func() bool {
				plain, marked := r.told(titles...)
				return len(plain)+len(marked) >= len(titles)
			})
			r.settledIn(private)
			plain, marked := r.told(titles...)
			for _, title := range titles {
				if plain[title]+marked[title] != 1 {
					t.Errorf("%s: told %d times, and %d times marked", title, plain[title], marked[title])
				}
			}
			all := fmt.Sprint(r.telegram.Messages())
			if !strings.Contains(all, "Note: This chat takes the place of telegram-") {
				t.Errorf("nothing says that the chat is another:\n%s", all)
			}
		})
	}
}

// settledIn waits until the chat's durables have nothing left to do.
func (r *chatRig) settledIn(id string) {
	r.t.Helper()
	var lanes []proto.Consumer
	for _, stream := range bustest.AlertStreams() {
		lanes = append(lanes, proto.LaneConsumers("telegram-"+id, stream)...)
	}
	for _, def := range lanes {
		c, err := r.bus.Conn(r.t, Role).Bind(r.t.Context(), def.Stream, def.Durable)
		if err != nil {
			r.t.Fatal(err)
		}
		bustest.Eventually(r.t, "everything is acknowledged", func() bool {
			p, err := c.Progress(r.t.Context())
			return err == nil && p.Pending == 0 && p.Unacked == 0
		})
	}
}

// A group that has become a supergroup keeps its place when the owner sets the id that
// the notifier told: nothing is told again or skipped.
func TestAMovedChatIsContinued(t *testing.T) {
	t.Parallel()
	group, moved := fmt.Sprint(telegramtest.GroupID), "-1004815162342"
	r, set := newMovingRig(t, group, moved)
	if err := r.telegram.Script("now migrate " + group + " " + moved); err != nil {
		t.Fatal(err)
	}
	stop := r.start()
	titles := []string{"high one", "medium two", "critical three", "medium four", "critical five"}
	r.alert(proto.SeverityHigh, titles[0])
	r.alert(proto.SeverityMedium, titles[1])
	r.alert(proto.SeverityCritical, titles[2])
	tell := func(n int) {
		t.Helper()
		bustest.Eventually(t, fmt.Sprintf("%d alerts are told", n), func() bool {
			plain, marked := r.told(titles...)
			return len(plain)+len(marked) == n
		})
	}
	tell(3)
	stop()
	r.alert(proto.SeverityMedium, titles[3])
	r.alert(proto.SeverityCritical, titles[4])
	set(moved)
	r.start()
	tell(5)
	g, _ := strings.CutPrefix(moved, "-")
	r.settledIn("g" + g)
	if plain, marked := r.told(titles...); len(plain) != 5 || plain[titles[0]]+plain[titles[2]] != 2 || len(marked) > 0 {
		t.Errorf("told %v, and marked %v", plain, marked)
	}
}

// Of two chats one is taken out: the other has got everything once, and goes on. A
// token that was corrected changes no chat.
func TestAChatIsTakenOut(t *testing.T) {
	t.Parallel()
	private, group := fmt.Sprint(telegramtest.PrivateID), fmt.Sprint(telegramtest.GroupID)
	r, set := newMovingRig(t, private+","+group, private)
	if err := r.telegram.Script("now revoke"); err != nil {
		t.Fatal(err)
	}
	stop := r.start()
	r.alert(proto.SeverityCritical, "before")
	r.printed(1)
	stop()
	if err := r.telegram.Script("now restore"); err != nil {
		t.Fatal(err)
	}
	set(private)
	r.start()
	r.alert(proto.SeverityCritical, "after")
	r.printed(2)
	bustest.Eventually(t, "both are told", func() bool {
		plain, marked := r.told("before", "after")
		return plain["before"]+marked["before"] == 1 && plain["after"] == 1
	})
	for _, m := range r.telegram.Messages() {
		if m.Chat != telegramtest.PrivateID || strings.Contains(m.Text, "takes the place") {
			t.Errorf("sent to %d: %s", m.Chat, m.Text)
		}
	}
}
