package bus_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/testing/bustest"
)

// A chat that is configured in place of another begins where that one stands, in
// each lane, although other sinks have delivered everything; any other new chat begins
// where those stand. After the first step there are five alerts of high severity, which
// standard output has delivered.
func TestAChatTakesTheOthersPlace(t *testing.T) {
	type step struct {
		chats string // configured, by name
		acked string // a chat that then delivers one alert, if any
		serve string // a chat that a notifier serves then, if any
	}
	for name, tt := range map[string]struct {
		steps []step
		chat  string // of the last step
		want  []uint64
		from  string // whose state it continues
	}{
		"corrected":                          {[]step{{chats: "a", serve: "a"}, {chats: "b"}}, "b", []uint64{1, 2, 3, 4, 5}, "a"},
		"moved":                              {[]step{{chats: "a", serve: "a", acked: "a"}, {chats: "b"}}, "b", []uint64{2, 3, 4, 5}, "a"},
		"of a version without leases":        {[]step{{chats: "a"}, {chats: "b"}}, "b", []uint64{1, 2, 3, 4, 5}, "a"},
		"corrected twice":                    {[]step{{chats: "a", serve: "a"}, {chats: "b", serve: "b"}, {chats: "c"}}, "c", []uint64{1, 2, 3, 4, 5}, "b"},
		"twice, the first was never served":  {[]step{{chats: "a", serve: "a", acked: "a"}, {chats: "b"}, {chats: "c"}}, "c", []uint64{2, 3, 4, 5}, "a"},
		"taken out before":                   {[]step{{chats: "a", serve: "a"}, {chats: ""}, {chats: "b"}}, "b", []uint64{1, 2, 3, 4, 5}, "a"},
		"beside a chat that stays":           {[]step{{chats: "a w", serve: "a", acked: "w"}, {chats: "b w"}}, "b", []uint64{1, 2, 3, 4, 5}, "a"},
		"of two, the one where more waits":   {[]step{{chats: "a w", serve: "a", acked: "w"}, {chats: "b"}}, "b", []uint64{1, 2, 3, 4, 5}, "a"},
		"two for two":                        {[]step{{chats: "a w", serve: "a", acked: "w"}, {chats: "b c"}}, "c", []uint64{2, 3, 4, 5}, "w"},
		"two for one":                        {[]step{{chats: "a", serve: "a"}, {chats: "b c"}}, "c", nil, ""},
		"added":                              {[]step{{chats: "a", serve: "a"}, {chats: "a b"}}, "b", nil, ""},
		"added after a place was taken":      {[]step{{chats: "a", serve: "a"}, {chats: "b", serve: "b"}, {chats: "b c"}}, "c", nil, ""},
		"the first":                          {[]step{{chats: ""}, {chats: "a"}}, "a", nil, ""},
		"the former is configured once more": {[]step{{chats: "a", serve: "a"}, {chats: "b", serve: "b"}, {chats: "a"}}, "a", []uint64{1, 2, 3, 4, 5}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lanes := func(chats string) (all []proto.Consumer) {
				for _, chat := range strings.Fields(chats) {
					all = append(all, proto.LaneConsumers(chat, alertStream)...)
				}
				return all
			}
			b := bustest.Start(t, bustest.Durables(lanes("a b c w")...))
			c, n := b.Conn(t, bus.RoleProvisioner), b.Conn(t, notifier)
			fetched := func(chat string, count int) []*bus.Msg {
				t.Helper()
				urgent := proto.LaneConsumers(chat, alertStream)[1]
				consumer, err := n.Bind(deadlineContext(t), urgent.Stream, urgent.Durable)
				if err != nil {
					t.Fatal(err)
				}
				return fetch(t, consumer, count)
			}
			for i, s := range tt.steps {
				provision(t, c, bus.ProvisionConfig{Consumers: append(lanes(s.chats), bustest.Consumers()...)})
				if again := provision(t, c, bus.ProvisionConfig{Consumers: append(lanes(s.chats), bustest.Consumers()...)}); !slices.Equal(actions(again), []string{"unchanged"}) {
					t.Errorf("again:\n%s", again)
				}
				if i == 0 {
					publish(t, armedAlerts(t, b.Conn(t, bus.ShipperRole(bustest.Tracee)), bustest.Tracee), alerts(5)...)
					acknowledge(t, fetch(t, bind(t, b), 5)...)
				}
				if s.acked != "" {
					acknowledge(t, fetched(s.acked, 1)...)
				}
				if s.serve != "" {
					if _, err := n.Put(deadlineContext(t), proto.KeyDeliveryLease(s.serve), []byte("{}"), 0); err != nil {
						t.Fatal(err)
					}
				}
			}
			var got []uint64
			if len(tt.want) > 0 {
				for _, m := range fetched(tt.chat, len(tt.want)) {
					got = append(got, m.Sequence)
				}
			}
			for _, def := range proto.LaneConsumers(tt.chat, alertStream) {
				consumer, err := n.Bind(deadlineContext(t), def.Stream, def.Durable)
				if err != nil {
					t.Fatal(err)
				}
				if p, err := consumer.Progress(deadlineContext(t)); err != nil || p.Pending != 0 {
					t.Errorf("%s: %+v, %v", def.Durable, p, err)
				}
				if from, err := n.Predecessor(deadlineContext(t), def.Stream, def.Durable); from != tt.from || err != nil {
					t.Errorf("%s continues %q, %v", def.Durable, from, err)
				}
			}
			o, err := b.Conn(t, bus.RoleOperator).Overview(deadlineContext(t))
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range o.Durables {
				succeeded := tt.from != "" && strings.HasPrefix(d.Name, "notifier-"+tt.from+"-")
				if succeeded && d.Successor == "" || d.Successor != "" && d.Successor == tt.chat && !succeeded {
					t.Errorf("%s is said to be succeeded by %q", d.Name, d.Successor)
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("it begins with %v", got)
			}
		})
	}
}
