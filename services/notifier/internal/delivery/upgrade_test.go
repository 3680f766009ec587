package delivery

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/notifier/internal/delivery/store"
	"github.com/openclaw-security/bus/services/testing/bustest"
)

// What version 1 has sent about an alert before it was known where that is stored is
// recorded once it is, and is not sent again.
func TestEarlyMessagesOfVersion1AreRecorded(t *testing.T) {
	g := newRig(t)
	m := alert(proto.SeverityCritical, "it")
	key := store.KeyOf("security.alert.box1.suricata.alert.critical", "it")
	keys, err := json.Marshal(store.Keys{key})
	if err != nil {
		t.Fatal(err)
	}
	value := fmt.Sprintf(`{"version":1,"instance":"before","writes":3,"slots":{"stamp":{"wall":"2026-11-30T14:20:27Z","boot":"boot","up":1}},"place":{},`+
		`"ahead":[{"delivery":{"time":"2026-11-30T14:20:27Z","sink":"fake","chat":"chat","kind":"cards","message_id":"6","attempts":1,"alerts":1,"severities":{"critical":1}},"missing":%s}],`+
		`"settled":%s,"refused":"","notes":{},"stream":"2026-11-30T14:19:48Z","through":0}`, keys, keys)
	if _, err := g.bus.Conn(t, bus.RoleNotifier).Put(t.Context(), proto.KeyDelivery(chatName), []byte(value), 0); err != nil {
		t.Fatal(err)
	}
	g.publish(m)
	d, stop := g.start()
	g.settled()
	stop()
	if n := len(g.chat.requests()); n != 0 {
		t.Errorf("%d messages were sent", n)
	}
	l := g.ledger()
	if len(l) != 1 || l[0].MessageID != "6" || !l[0].Covers(g.stream, 1) {
		t.Errorf("the ledger has %+v", l)
	}
	if len(d.store.Early) != 0 {
		t.Errorf("still to be recorded: %+v", d.store.Early)
	}
}

// A state that version 1 has stored is continued: what it had under way comes again
// as the same bytes with a mark, what was accepted is recorded and not sent again.
// The recorded values are those of a notifier that was killed while it delivered
// nine alerts.
func TestStateOfThePresentVersionIsContinued(t *testing.T) {
	for _, test := range []struct {
		recorded string
		want     []bool // of each message, whether it may repeat
	}{
		{"state-under-way.json", []bool{true}},
		{"state-unrecorded.json", nil},
	} {
		t.Run(test.recorded, func(t *testing.T) {
			g := newRig(t)
			value, err := os.ReadFile("testdata/" + test.recorded)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := g.bus.Conn(t, bus.RoleNotifier).Put(t.Context(), proto.KeyDelivery(chatName), value, 0); err != nil {
				t.Fatal(err)
			}
			g.publish(numbered(proto.SeverityHigh, "u", 9)...)
			g.stored()
			g.start()
			g.settled()
			var got []bool
			for _, s := range g.chat.requests() {
				if s.Total != 9 || s.raw != `{"Kind":"digest","Level":0,"Titles":["u0","u1","u2","u3","u4","u5","u6","u7","u8"],"Counts":[1,1,1,1,1,1,1,1,1],"Total":9,"Text":"","Notices":null,"Silent":false}` {
					t.Errorf("sent %s", s.raw)
				}
				got = append(got, s.mayRepeat)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("messages that may repeat: %v, want %v", got, test.want)
			}
			bustest.Eventually(t, "the ledger has the message", func() bool {
				l := g.ledger()
				return len(l) == 1 && l[0].Alerts == 9 && l[0].Covers(proto.StreamAlerts, 1) && l[0].Covers(proto.StreamAlerts, 9)
			})
		})
	}
}
