package doctor

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/silence"
)

// noon is when the judgements of these tests are made.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func before(d time.Duration) *bus.Stored { return &bus.Stored{Sequence: 1, Time: noon.Add(-d)} }

func TestJudgeSkew(t *testing.T) {
	for _, test := range []struct {
		name          string
		ahead, within time.Duration
		want          want
	}{
		{"none", 0, time.Millisecond, want{"server", Good, "agrees"}},
		{"just below", 5 * time.Second, 0, want{"server", Good, "agrees"}},
		{"ahead", 6 * time.Second, 0, want{"server", Warning, "6s ahead of"}},
		{"behind", -7 * time.Second, 0, want{"server", Warning, "7s behind"}},
		{"a slow answer explains it", 8 * time.Second, 4 * time.Second, want{"server", Good, "agrees"}},
		{"a minute", time.Minute, 0, want{"server", Warning, "1m ahead of"}},
		{"more than a minute", -61 * time.Second, 0, want{"server", Fault, "1m behind"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var f findings
			judgeSkew(&f, "server", test.ahead, test.within)
			check(t, f.all, test.want)
		})
	}
}

func TestJudgeEventTime(t *testing.T) {
	for _, test := range []struct {
		name  string
		ahead time.Duration
		want  want
	}{
		{"at once", -20 * time.Millisecond, want{"s", Good, "within 5s"}},
		{"late", -6 * time.Second, want{"s", Warning, "stored 6s after its own time"}},
		{"a backlog is no fault", -14 * time.Hour, want{"s", Warning, "catching up"}},
		{"from the future", 6 * time.Second, want{"s", Warning, "6s after it was stored"}},
		{"far from the future", time.Hour, want{"s", Fault, "1h00m after it was stored"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var f findings
			judgeEventTime(&f, "s", test.ahead)
			check(t, f.all, test.want)
		})
	}
}

func TestJudgeServer(t *testing.T) {
	for _, test := range []struct {
		name   string
		health bus.Health
		nats   want
		store  want
	}{
		{
			"well",
			bus.Health{Version: "2.15.2", RoundTrip: time.Millisecond, Used: 2048, Reserved: 1 << 30},
			want{"NATS", Good, "nats-server 2.15.2, 1ms away"},
			want{"store", Good, "2.0 KiB used, 1.0 GiB set aside"},
		},
		{
			"old",
			bus.Health{Version: "2.14.9"},
			want{"NATS", Warning, "upgrade it to 2.15"},
			want{"store", Good, ""},
		},
		{
			"newer",
			bus.Health{Version: "3.0.0-RC.1"},
			want{"NATS", Good, "3.0.0-RC.1"},
			want{"store", Good, ""},
		},
		{
			"unknown",
			bus.Health{Version: "main"},
			want{"NATS", Warning, "upgrade"},
			want{"store", Good, ""},
		},
		{
			"far",
			bus.Health{Version: "2.15.0", RoundTrip: time.Second},
			want{"NATS", Warning, "slow"},
			want{"store", Good, ""},
		},
		{
			"filling",
			bus.Health{Version: "2.15.0", Used: 81, Limit: 100},
			want{"NATS", Good, ""},
			want{"store", Warning, "limit 100 B"},
		},
		{
			"full",
			bus.Health{Version: "2.15.0", Used: 96, Limit: 100},
			want{"NATS", Good, ""},
			want{"store", Fault, "refused"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			var f findings
			judgeServer(&f, test.health)
			check(t, f.all, test.nats, test.store)
		})
	}
}

func TestJudgeStream(t *testing.T) {
	old, refusing := proto.Stream{Name: "S", Discard: proto.DiscardOld}, proto.Stream{Name: "S", Discard: proto.DiscardNew}
	for _, test := range []struct {
		name  string
		def   proto.Stream
		state bus.StreamState
		wants []want
	}{
		{"missing", old, bus.StreamState{Err: bus.ErrNotProvisioned}, []want{{"S", Fault, "secbus provision"}}},
		{"another version", old, bus.StreamState{Err: &bus.SchemaError{Name: "stream S", Have: 9, Want: 1}}, []want{{"S", Fault, "upgrade this program"}}},
		{"well", old, bus.StreamState{Messages: 3, Bytes: 50, MaxBytes: 100}, []want{{"S", Good, "3 messages, 50 B of 100 B"}}},
		{"full, and drops the oldest", old, bus.StreamState{Bytes: 100, MaxBytes: 100}, []want{{"S", Good, ""}}},
		{"without a limit", old, bus.StreamState{MaxBytes: -1}, []want{{"S", Warning, "without a limit"}}},
		{"filling, and refuses", refusing, bus.StreamState{Bytes: 81, MaxBytes: 100}, []want{{"S", Warning, "refused"}}},
		{"full, and refuses", refusing, bus.StreamState{Bytes: 96, MaxBytes: 100}, []want{{"S", Fault, "refused"}}},
		{
			"copies", old,
			bus.StreamState{MaxBytes: 100, Copies: []bus.Copy{{Server: "a", Current: true}, {Server: "b"}, {Server: "c", Offline: true}}},
			[]want{{"S copy", Warning, "b is behind"}, {"S copy", Warning, "c is offline"}, {"S", Good, ""}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			var f findings
			judgeStream(&f, test.def, test.state)
			check(t, f.all, test.wants...)
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
		want  want
	}{
		{"idle", stream(10, 100), nil, want{"S", Good, "nothing has come in a day"}},
		{"young", stream(10, 100), before(59 * time.Minute), want{"S", Good, "too little to tell"}},
		{"a trickle", stream(10, 10), before(day), want{"S", Good, "keeps the full 30 days at this rate, 10 B a day"}},
		{"enough", stream(10, 100), before(day), want{"S", Good, "keeps about 10 days at this rate, 100 B a day (limit 30 days)"}},
		{"short", stream(10, 500), before(day), want{"S", Warning, "keeps only about 2.0 days"}},
		{"short, of half a day", stream(10, 200), before(12 * time.Hour), want{"S", Warning, "keeps only about 2.5 days"}},
		{"only the last day counts", bus.StreamState{Name: "S", Messages: 100, Last: 1, Bytes: 1000, MaxBytes: 1000, MaxAge: 30 * day}, before(day), want{"S", Good, "keeps the full 30 days"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var f findings
			judgeRetention(&f, test.state, test.from, noon)
			check(t, f.all, test.want)
		})
	}
}

func TestJudgeSpace(t *testing.T) {
	const gib = 1 << 30
	for _, test := range []struct {
		name  string
		space space
		room  uint64
		want  want
	}{
		{"ample", space{50 * gib, 100 * gib}, 6 * gib, want{"/d", Good, "50.0 GiB free of 100.0 GiB"}},
		{"less than the streams may take", space{5 * gib, 10 * gib}, 6 * gib, want{"/d", Warning, "may still grow by 6.0 GiB"}},
		{"a tenth", space{9 * gib, 100 * gib}, 6 * gib, want{"/d", Warning, "make room"}},
		{"next to nothing", space{1 * gib, 100 * gib}, 0, want{"/d", Fault, "nothing will be stored soon"}},
		{"a small disk", space{150 << 20, gib}, 0, want{"/d", Fault, "nothing will be stored soon"}},
		{"nothing known", space{}, 0, want{"/d", Fault, ""}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var f findings
			judgeSpace(&f, "/d", test.space, test.room)
			check(t, f.all, test.want)
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
		wants  []want
	}{
		{"at rest", bus.DurableState{Waiting: 1}, 0, []want{{"notifier-x", Good, "nothing waits"}}},
		{"at work", bus.DurableState{Progress: bus.Progress{Pending: 3, Unacked: 2}}, time.Minute, []want{{"notifier-x", Good, "5 messages wait, the oldest for 1m"}}},
		{"held", bus.DurableState{Waiting: 1, Progress: bus.Progress{Pending: 1}}, 6 * time.Minute, []want{{"notifier-x", Warning, "quiet hours"}}},
		{"between two fetches", bus.DurableState{}, 0, []want{{"notifier-x", Warning, "nobody is fetching"}}},
		{"dead", bus.DurableState{Progress: bus.Progress{Pending: 1}}, 6 * time.Minute, []want{{"notifier-x", Fault, "is the notifier running?"}}},
		{"evicted", bus.DurableState{Waiting: 1, Evicted: 7}, 0, []want{{"notifier-x", Fault, "7 messages were removed by the limits of S"}, {"notifier-x", Good, ""}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.state.Name, test.state.Stream = "notifier-x", "S"
			var f findings
			judgeConsumer(&f, test.state, test.waited)
			check(t, f.all, test.wants...)
		})
	}
}

func TestJudgeSignature(t *testing.T) {
	for _, test := range []struct {
		name             string
		signed, unsigned *bus.Stored
		want             want
	}{
		{"nothing yet", nil, nil, want{"signature", Good, "nothing has been signed yet"}},
		{"not yet", nil, before(time.Minute), want{"signature", Good, "nothing has been signed yet"}},
		{"never", nil, before(time.Hour), want{"signature", Warning, "a record of 1h00m ago has no signature"}},
		{"signed", before(time.Hour), nil, want{"signature", Good, "signed 1h00m ago"}},
		{"a new record", before(time.Hour), before(time.Minute), want{"signature", Good, "signed 1h00m ago"}},
		{"behind", before(2 * time.Hour), before(time.Hour), want{"signature", Warning, "is the auditor running"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var f findings
			judgeSignature(&f, test.signed, test.unsigned, noon)
			check(t, f.all, test.want)
		})
	}
}

func TestJudgeSilence(t *testing.T) {
	critical := &bus.Stored{Header: nats.Header{}, Data: []byte(`{"severity":"critical","rule":{"id":"7"}}`)}
	for _, test := range []struct {
		name    string
		silence silence.Silence
		last    *bus.Stored
		want    want
	}{
		{"of something else", silence.Silence{Matcher: `$.rule.id == "8"`, Until: noon.Add(time.Hour)}, critical, want{"silence 1", Good, `for 1h00m, holds back $.rule.id == "8"`}},
		{"of the last critical alert", silence.Silence{Matcher: `$.rule.id == "7"`, Until: noon.Add(time.Hour)}, critical, want{"silence 1", Warning, "secbus silence rm 1"}},
		{"of all that is critical", silence.Silence{Matcher: `$.severity == "critical"`, Until: noon.Add(time.Hour)}, nil, want{"silence 1", Warning, "critical alerts included"}},
		{"nothing critical yet", silence.Silence{Matcher: `$.rule.id == "7"`, Until: noon.Add(time.Hour)}, nil, want{"silence 1", Good, "holds back"}},
		{"without an end", silence.Silence{Matcher: `true`}, critical, want{"silence 1", Good, "until it is removed"}},
		{"broken", silence.Silence{Matcher: `$.rule ==`}, critical, want{"silence 1", Warning, "without effect"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.silence.ID = "1"
			var f findings
			judgeSilence(&f, test.silence, test.last, noon)
			check(t, f.all, test.want)
		})
	}
}
