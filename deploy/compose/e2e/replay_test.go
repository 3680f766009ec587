package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/openclaw-security/bus/proto"
)

// past is how many alerts the first chat has had before the second one is added.
const past = 8

// A second chat is added while the first goes on: the server takes the new
// rights from a signal, the notifier is replaced, and the second chat gets by a
// replay what came before. The first notices nothing of it.
func TestReplayIntoANewSink(t *testing.T) {
	r := newRig(t, 5*time.Minute, setup{})
	l := r.newLoad()
	l.suricata.write(t, past*alertEvery)
	nc := r.connect("operator")
	first := func(sequence uint64) alert { return alert{stream: proto.AlertsStream("suricata"), sequence: sequence} }
	// A new sink begins where the slower lane of the old one stands, which has to
	// have sent something for there to be a past.
	await(r.ctx, t, "the past in the first chat", func() (bool, string) {
		told, err := r.deliveries(nc, sinkA)
		for sequence := range uint64(past) {
			if covering(told, first(sequence+1)) == 0 {
				return false, fmt.Sprint(told, err)
			}
		}
		return true, ""
	})

	r.begin(l)
	r.plan["TELEGRAM_CHAT_ID"] = chatA + "," + chatB
	t.Log(strings.TrimSpace(r.must(r.keysInit())))
	r.signal(r.units["nats"], "HUP")
	t.Log(strings.TrimSpace(r.must(r.provision())))
	r.remove(r.units["notifier"])
	r.awaitHealthy(r.create(r.notifier()))
	await(r.ctx, t, "new alerts in the second chat", func() (bool, string) {
		told, err := r.deliveries(nc, sinkB)
		return err == nil && len(told) >= 1, fmt.Sprint(told, err)
	})
	t.Logf("the second chat gets what is new after %.0f s", time.Since(l.begun).Seconds())
	before, err := r.deliveries(nc, sinkB)
	if err != nil {
		t.Fatal(err)
	}
	if covering(before, first(1)) != 0 {
		t.Error("the second chat was flooded with what the first has had")
	}

	// While critical and high alerts keep coming, a replay waits for its turn.
	t.Log(strings.TrimSpace(r.must(r.secbus("replay", "--since", "1h", "--to", sinkB))))
	await(r.ctx, t, "the replay in the second chat", func() (bool, string) {
		all := r.messages(chatB)
		return replays(all) > 0, fmt.Sprint(len(all), " messages")
	})
	r.judge(l)
	if n := replays(r.messages(chatA)); n != 0 {
		t.Errorf("%d replays came to the first chat", n)
	}
	c := newCensus(alertStreams...)
	if err := c.read(r.ctx, nc); err != nil {
		t.Fatal(err)
	}
	told, err := r.deliveries(nc, sinkA)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range c.alerts {
		if n := covering(told, a); n != 1 {
			t.Errorf("the first chat was told %d times of alert %d of %s", n, a.sequence, a.stream)
		}
	}
}

// replays counts the messages that say that they are one.
func replays(all []chatMessage) int {
	n := 0
	for _, m := range all {
		if strings.Contains(m.Text, "REPLAY") {
			n++
		}
	}
	return n
}
