package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/openclaw-security/bus/proto"
)

// A line that Suricata writes becomes a message on the phone, and an event for
// every subscriber of stored messages.
func TestAlertReachesTelegramAndTail(t *testing.T) {
	r := newRig(t, 3*time.Minute, setup{})
	live, err := r.connect("tail").SubscribeSync(proto.StoredPrefix + ".>")
	if err != nil {
		t.Fatal(err)
	}
	started := time.Now()
	r.suricata().write(t, 1) // the first line is an alert

	m, err := live.NextMsgWithContext(r.ctx)
	if err != nil {
		t.Fatalf("waiting for the event: %v", err)
	}
	seen := time.Since(started)
	var event proto.Event
	if err := json.Unmarshal(m.Data, &event); err != nil {
		t.Fatal(err)
	}
	if want := "security.alert." + host + ".suricata.alert.high"; m.Subject != want || !strings.Contains(string(event.Raw), `"e2e_line":0,`) {
		t.Errorf("the event is %s %s", m.Subject, event.Raw)
	}
	await(r.ctx, t, "the alert in the chat", func() (bool, string) {
		all := r.messages(chatA)
		for _, m := range all {
			if strings.Contains(m.Text, "E2E line 0") {
				return true, ""
			}
		}
		return false, fmt.Sprint(all)
	})
	took := time.Since(started)
	t.Logf("stored and seen after %s, in the chat after %s", seen.Round(time.Millisecond), took.Round(time.Millisecond))
	if took > 10*time.Second {
		t.Errorf("the alert took %s to the chat", took)
	}
}
