package doctor

import (
	"testing"
	"time"

	"github.com/openclaw-security/bus/services/testing/checktest"

	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/check"
	"github.com/openclaw-security/bus/services/internal/diskspace"
)

// noon is when the judgements of these tests are made.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func before(d time.Duration) *bus.Stored { return &bus.Stored{Sequence: 1, Time: noon.Add(-d)} }

func TestJudgeSkew(t *testing.T) {
	for _, test := range []struct {
		name          string
		ahead, within time.Duration
		want          checktest.Wanted
	}{
		{"none", 0, time.Millisecond, checktest.Want("server", check.Good, "agrees")},
		{"just below", 5 * time.Second, 0, checktest.Want("server", check.Good, "agrees")},
		{"ahead", 6 * time.Second, 0, checktest.Want("server", check.Warning, "6s ahead of")},
		{"behind", -7 * time.Second, 0, checktest.Want("server", check.Warning, "7s behind")},
		{"a slow answer explains it", 8 * time.Second, 4 * time.Second, checktest.Want("server", check.Good, "agrees")},
		{"a minute", time.Minute, 0, checktest.Want("server", check.Warning, "1m ahead of")},
		{"more than a minute", -61 * time.Second, 0, checktest.Want("server", check.Fault, "1m behind")},
	} {
		t.Run(test.name, func(t *testing.T) {
			var f check.List
			judgeSkew(&f, "server", test.ahead, test.within)
			checktest.Compare(t, f.All, test.want)
		})
	}
}

func TestJudgeServer(t *testing.T) {
	for _, test := range []struct {
		name   string
		health bus.Health
		nats   checktest.Wanted
		store  checktest.Wanted
	}{
		{
			"well",
			bus.Health{Version: "2.15.2", RoundTrip: time.Millisecond, Used: 2048, Reserved: 1 << 30},
			checktest.Want("NATS", check.Good, "nats-server 2.15.2, 1ms away"),
			checktest.Want("store", check.Good, "2.0 KiB used, 1.0 GiB set aside"),
		},
		{
			"old",
			bus.Health{Version: "2.14.9"},
			checktest.Want("NATS", check.Warning, "upgrade it to 2.15"),
			checktest.Want("store", check.Good, ""),
		},
		{
			"newer",
			bus.Health{Version: "3.0.0-RC.1"},
			checktest.Want("NATS", check.Good, "3.0.0-RC.1"),
			checktest.Want("store", check.Good, ""),
		},
		{
			"unknown",
			bus.Health{Version: "main"},
			checktest.Want("NATS", check.Warning, "upgrade"),
			checktest.Want("store", check.Good, ""),
		},
		{
			"far",
			bus.Health{Version: "2.15.0", RoundTrip: time.Second},
			checktest.Want("NATS", check.Warning, "slow"),
			checktest.Want("store", check.Good, ""),
		},
		{
			"filling",
			bus.Health{Version: "2.15.0", Used: 81, Limit: 100},
			checktest.Want("NATS", check.Good, ""),
			checktest.Want("store", check.Warning, "limit 100 B"),
		},
		{
			"full",
			bus.Health{Version: "2.15.0", Used: 96, Limit: 100},
			checktest.Want("NATS", check.Good, ""),
			checktest.Want("store", check.Fault, "refused"),
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			var f check.List
			judgeServer(&f, test.health)
			checktest.Compare(t, f.All, test.nats, test.store)
		})
	}
}

func TestJudgeStream(t *testing.T) {
	const old, refusing = true, false
	for _, test := range []struct {
		name  string
		old   bool
		state bus.StreamState
		wants []checktest.Wanted
	}{
		{"missing", old, bus.StreamState{Err: bus.ErrNotProvisioned}, []checktest.Wanted{checktest.Want("S", check.Fault, "secbus provision")}},
		{"another version", old, bus.StreamState{Err: &bus.SchemaError{Name: "stream S", Have: 9, Want: 1}}, []checktest.Wanted{checktest.Want("S", check.Fault, "upgrade this program")}},
		{"well", old, bus.StreamState{Messages: 3, Bytes: 50, MaxBytes: 100}, []checktest.Wanted{checktest.Want("S", check.Good, "3 messages, 50 B of 100 B")}},
		{"full, and drops the oldest", old, bus.StreamState{Bytes: 100, MaxBytes: 100}, []checktest.Wanted{checktest.Want("S", check.Good, "")}},
		{"without a limit", old, bus.StreamState{MaxBytes: -1}, []checktest.Wanted{checktest.Want("S", check.Warning, "without a limit")}},
		{"filling, and refuses", refusing, bus.StreamState{Bytes: 81, MaxBytes: 100}, []checktest.Wanted{checktest.Want("S", check.Warning, "refused")}},
		{"full, and refuses", refusing, bus.StreamState{Bytes: 96, MaxBytes: 100}, []checktest.Wanted{checktest.Want("S", check.Fault, "refused")}},
		{
			"copies", old,
			bus.StreamState{MaxBytes: 100, Copies: []bus.Copy{{Server: "a", Current: true}, {Server: "b"}, {Server: "c", Offline: true}}},
			[]checktest.Wanted{checktest.Want("S copy", check.Warning, "b is behind"), checktest.Want("S copy", check.Warning, "c is offline"), checktest.Want("S", check.Good, "")},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			var f check.List
			test.state.Name, test.state.DiscardsOld = "S", test.old
			judgeStream(&f, test.state)
			checktest.Compare(t, f.All, test.wants...)
		})
	}
}

func TestJudgeRetention(t *testing.T) {
	stream := func(messages, bytes uint64) bus.StreamState {
		return bus.StreamState{Name: "S", Messages: messages, Last: messages, Bytes: bytes, MaxBytes: 1000, MaxAge: 30 * day}
	}
	for _, test := range []struct {
		name  string
		state bus.StreamState
		from  *bus.Stored
		want  checktest.Wanted
	}{
		{"idle", stream(10, 100), nil, checktest.Want("S", check.Good, "nothing has come in a day")},
		{"young", stream(10, 100), before(59 * time.Minute), checktest.Want("S", check.Good, "too little to tell")},
		{"a trickle", stream(10, 10), before(day), checktest.Want("S", check.Good, "keeps the full 30 days at this rate, 10 B a day")},
		{"enough", stream(10, 100), before(day), checktest.Want("S", check.Good, "keeps about 10 days at this rate, 100 B a day (limit 30 days)")},
		{"short", stream(10, 500), before(day), checktest.Want("S", check.Warning, "keeps only about 2.0 days")},
		{"short, of half a day", stream(10, 200), before(12 * time.Hour), checktest.Want("S", check.Warning, "keeps only about 2.5 days")},
		{"only the last day counts", bus.StreamState{Name: "S", Messages: 100, Last: 1, Bytes: 1000, MaxBytes: 1000, MaxAge: 30 * day}, before(day), checktest.Want("S", check.Good, "keeps the full 30 days")},
	} {
		t.Run(test.name, func(t *testing.T) {
			var f check.List
			judgeRetention(&f, test.state, test.from, noon)
			checktest.Compare(t, f.All, test.want)
		})
	}
}

func TestJudgeSpace(t *testing.T) {
	const gib = 1 << 30
	for _, test := range []struct {
		name  string
		space diskspace.Space
		room  uint64
		want  checktest.Wanted
	}{
		{"ample", diskspace.Space{Free: 50 * gib, Total: 100 * gib}, 6 * gib, checktest.Want("/d", check.Good, "50.0 GiB free of 100.0 GiB")},
		{"less than the streams may take", diskspace.Space{Free: 5 * gib, Total: 10 * gib}, 6 * gib, checktest.Want("/d", check.Warning, "may still grow by 6.0 GiB")},
		{"a tenth", diskspace.Space{Free: 9 * gib, Total: 100 * gib}, 6 * gib, checktest.Want("/d", check.Warning, "make room")},
		{"next to nothing", diskspace.Space{Free: 1 * gib, Total: 100 * gib}, 0, checktest.Want("/d", check.Fault, "nothing will be stored soon")},
		{"a small disk", diskspace.Space{Free: 150 << 20, Total: gib}, 0, checktest.Want("/d", check.Fault, "nothing will be stored soon")},
		{"nothing known", diskspace.Space{}, 0, checktest.Want("/d", check.Fault, "")},
	} {
		t.Run(test.name, func(t *testing.T) {
			var f check.List
			judgeSpace(&f, "/d", test.space, test.room)
			checktest.Compare(t, f.All, test.want)
		})
	}
	if got := growth([]bus.StreamState{{MaxBytes: 10, Bytes: 4}, {MaxBytes: 10, Bytes: 11}, {MaxBytes: -1, Bytes: 1}}); got != 6 {
		t.Errorf("the streams may grow by %d, want 6", got)
	}
}

func TestJudgeConsumer(t *testing.T) {
	for _, test := range []struct {
		name   string
		state  bus.DurableState
		waited time.Duration
		wants  []checktest.Wanted
	}{
		{"at rest", bus.DurableState{Waiting: 1}, 0, []checktest.Wanted{checktest.Want("notifier-x of S", check.Good, "nothing waits")}},
		{"at work", bus.DurableState{Progress: bus.Progress{Pending: 3, Unacked: 2}}, time.Minute, []checktest.Wanted{checktest.Want("notifier-x of S", check.Good, "5 messages wait, the oldest for 1m")}},
		{"held", bus.DurableState{Waiting: 1, Progress: bus.Progress{Pending: 1}}, 6 * time.Minute, []checktest.Wanted{checktest.Want("notifier-x of S", check.Warning, "quiet hours")}},
		{"between two fetches", bus.DurableState{}, 0, []checktest.Wanted{checktest.Want("notifier-x of S", check.Warning, "nobody is fetching")}},
		{"dead", bus.DurableState{Progress: bus.Progress{Pending: 1}}, 6 * time.Minute, []checktest.Wanted{checktest.Want("notifier-x of S", check.Fault, "is the notifier running?")}},
		{"evicted", bus.DurableState{Waiting: 1, Evicted: 7}, 0, []checktest.Wanted{checktest.Want("notifier-x of S", check.Fault, "7 messages were removed by the limits of S"), checktest.Want("notifier-x of S", check.Good, "")}},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.state.Name, test.state.Stream = "notifier-x", "S"
			var f check.List
			judgeConsumer(&f, test.state, test.waited)
			checktest.Compare(t, f.All, test.wants...)
		})
	}
}
