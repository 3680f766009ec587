package sensorhealth

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/shipper/internal/normalize/suricata"
)

// stats is a record at a number of seconds after the test's begin, by a process
// that has been up for so many.
type stats struct {
	at, up  int
	decoded uint64
	packets uint64
	drops   uint64
	want    string
}

func (s stats) time() time.Time { return begin().Add(time.Duration(s.at) * time.Second) }

// feed gives the records to a watch and returns the alarms' texts.
func feed(t *testing.T, v *Monitor, all []stats, record func(stats) suricata.Stats) (texts []string) {
	t.Helper()
	for i, s := range all {
		r := record(s)
		r.Uptime = time.Duration(s.up) * time.Second
		v.packets.judge(v, s.time(), r)
		for _, a := range expect(t, v, fmt.Sprintf("record %d", i), s.want) {
			texts = append(texts, a.Text)
			if !a.At.Equal(s.time()) {
				t.Errorf("record %d: noticed at %s", i, a.At)
			}
		}
	}
	return texts
}

func TestNoPackets(t *testing.T) {
	for _, test := range []struct {
		name  string
		all   []stats
		texts []string
	}{
		{"packets come", []stats{{0, 8, 1, 0, 0, ""}, {299, 307, 1, 0, 0, ""}, {300, 308, 2, 0, 0, ""}, {599, 607, 2, 0, 0, ""}}, nil},
		{"an agent without work", []stats{{0, 8, 7, 0, 0, ""}, {299, 307, 7, 0, 0, ""}, {300, 308, 7, 0, 0, ""}, {86399, 86407, 7, 0, 0, ""}, {86460, 86468, 8, 0, 0, ""}}, nil},
		{"none for a day, then some", []stats{{0, 8, 7, 0, 0, ""}, {86399, 86407, 7, 0, 0, ""}, {86400, 86408, 7, 0, 0, "+no-packets"}, {90000, 90008, 7, 0, 0, ""}, {90060, 90068, 8, 0, 0, "-no-packets"}}, []string{
			"Suricata has seen no packet for 24h0m0s, since 2026-11-22 07:00:00 UTC; is the agent still on the network that it watches?",
			"Suricata sees packets again, after 25h1m0s",
		}},
		{"never a packet", []stats{{8, 8, 0, 0, 0, ""}, {240, 240, 0, 0, 0, ""}, {300, 300, 0, 0, 0, "+no-packets"}, {360, 360, 0, 0, 0, ""}}, []string{
			"Suricata has seen no packet since it was started 5m0s ago, at 2026-11-22 07:00:00 UTC; does it watch the interface that the agent's traffic passes?",
		}},
		{"began within a minute", []stats{{40, 10, 0, 0, 0, ""}, {330, 300, 0, 0, 0, "+no-packets"}, {345, 315, 1, 0, 0, "-no-packets"}}, []string{
			"Suricata has seen no packet since it was started 5m0s ago, at 2026-11-22 07:00:30 UTC; does it watch the interface that the agent's traffic passes?",
			"Suricata sees packets again, after 5m15s",
		}},
		{"never a packet, for a day already", []stats{{0, 86400, 0, 0, 0, ""}, {60, 86460, 0, 0, 0, "+no-packets"}}, []string{
			"Suricata has seen no packet since it was started 24h1m0s ago, at 2026-11-21 07:00:00 UTC; does it watch the interface that the agent's traffic passes?",
		}},
		{"restarted meanwhile", []stats{{0, 9000, 7, 0, 0, ""}, {250, 9250, 7, 0, 0, ""}, {310, 8, 0, 0, 0, ""}, {590, 288, 0, 0, 0, ""}, {595, 293, 1, 0, 0, ""}}, nil},
		{"stopped for a while, and idle again", []stats{{0, 9000, 7, 0, 0, ""}, {420, 8, 1, 0, 0, ""}, {480, 68, 1, 0, 0, ""}, {900, 488, 1, 0, 0, ""}}, nil},
		{"restarted and blind", []stats{{0, 9000, 7, 0, 0, ""}, {60, 8, 0, 0, 0, ""}, {360, 308, 0, 0, 0, "+no-packets"}}, nil},
		{"restarted while it stands", []stats{{0, 9000, 0, 0, 0, ""}, {200, 9200, 0, 0, 0, "+no-packets"}, {400, 8, 0, 0, 0, ""}, {900, 508, 0, 0, 0, ""}, {910, 518, 3, 0, 0, "-no-packets"}}, nil},
		{"counter reset", []stats{{0, 9000, 1 << 40, 0, 0, ""}, {86399, 95399, 1 << 40, 0, 0, ""}, {86401, 95401, 5, 0, 0, ""}, {100000, 109000, 5, 0, 0, ""}}, nil},
		{"woken from sleep", []stats{{0, 9000, 7, 0, 0, ""}, {300000, 309000, 7, 0, 0, ""}, {300008, 309008, 8, 0, 0, ""}}, nil},
		{"clock set back", []stats{{90000, 9000, 7, 0, 0, ""}, {0, 9008, 7, 0, 0, ""}, {86399, 95407, 7, 0, 0, ""}, {86400, 95408, 7, 0, 0, "+no-packets"}}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			texts := feed(t, watch("Suricata"), test.all, func(s stats) suricata.Stats {
				return suricata.Stats{Decoded: &s.decoded}
			})
			if test.texts != nil && !slices.Equal(texts, test.texts) {
				t.Errorf("said\n%s\nwant\n%s", strings.Join(texts, "\n"), strings.Join(test.texts, "\n"))
			}
		})
	}
}

// The alarm about an interface without packets has the same beginning, and thus
// the same id, whichever records a restarted shipper found it in.
func TestNoPacketsBeginsWithTheProcess(t *testing.T) {
	var began []time.Time
	for _, first := range []int{8, 1008, 86408} {
		v := watch("Suricata")
		for _, up := range []int{first, first + 300} {
			// Suricata rounds its uptime down.
			at := begin().Add(time.Duration(up)*time.Second + time.Duration(up)*time.Millisecond/100)
			v.packets.judge(v, at, suricata.Stats{Uptime: time.Duration(up) * time.Second, Decoded: new(uint64)})
		}
		began = append(began, expect(t, v, fmt.Sprint(first), "+no-packets")[0].Since)
	}
	if !began[0].Equal(begin()) || !began[1].Equal(began[0]) || !began[2].Equal(began[0]) {
		t.Errorf("began %v", began)
	}
}

// A record without something says nothing about it: counters of
// single threads, and no capture section when a file is read.
func TestStatsThatDoNotTell(t *testing.T) {
	v := watch("Suricata")
	for minute := range 100 {
		v.packets.judge(v, begin().Add(time.Duration(minute)*time.Minute), suricata.Stats{Uptime: time.Duration(minute) * time.Minute})
	}
	expect(t, v, "100 minutes", "")
}

func TestDrops(t *testing.T) {
	for _, test := range []struct {
		name  string
		all   []stats
		texts []string
	}{
		{"one per cent", []stats{{0, 8, 0, 0, 0, ""}, {8, 16, 0, 10_000, 100, ""}}, nil},
		{"more than that", []stats{{0, 8, 0, 5000, 0, ""}, {8, 16, 0, 15_000, 125, "+drops"}}, []string{
			"Suricata drops packets: 125 of 10000 (1.2 %) since 2026-11-22 07:00:00 UTC; it needs more CPU or larger buffers",
		}},
		{"of too few packets", []stats{{0, 8, 0, 0, 0, ""}, {8, 16, 0, 999, 999, ""}}, nil},
		{"dropped before the first record", []stats{{0, 900, 0, 90_000, 80_000, ""}, {8, 908, 0, 91_000, 80_000, ""}}, nil},
		{"restarted", []stats{{0, 900, 0, 90_000, 10, ""}, {60, 8, 0, 40_000, 30_000, ""}, {68, 16, 0, 50_000, 30_010, ""}}, nil},
		{"restarted and busier", []stats{{0, 900, 0, 5000, 10, ""}, {60, 8, 0, 40_000, 30_000, ""}}, nil},
		{"counter reset", []stats{{0, 900, 0, 90_000, 5000, ""}, {8, 908, 0, 95_000, 0, ""}, {16, 916, 0, 99_000, 10, ""}}, nil},
		{"reported at most every hour", []stats{
			{0, 0, 0, 0, 0, ""},
			{8, 8, 0, 10_000, 1000, "+drops"},
			{16, 16, 0, 20_000, 2000, ""},
			{3000, 3000, 0, 30_000, 2000, ""},
			{3607, 3607, 0, 40_000, 4000, ""},
			{3608, 3608, 0, 41_000, 4000, "+drops"},
			{7207, 7207, 0, 42_000, 4000, ""},
			{7208, 7208, 0, 43_000, 4000, "-drops"},
			{7300, 7300, 0, 53_000, 9000, "+drops"},
		}, []string{
			"Suricata drops packets: 1000 of 10000 (10.0 %) since 2026-11-22 07:00:00 UTC; it needs more CPU or larger buffers",
			"Suricata drops packets: 3000 of 20000 (15.0 %) since 2026-11-22 07:00:08 UTC; it needs more CPU or larger buffers",
			"Suricata has dropped no more packets for 1h0m0s",
			"Suricata drops packets: 5000 of 10000 (50.0 %) since 2026-11-22 09:00:08 UTC; it needs more CPU or larger buffers",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			texts := feed(t, watch("Suricata"), test.all, func(s stats) suricata.Stats {
				return suricata.Stats{Capture: &suricata.Capture{Packets: s.packets, Drops: s.drops}}
			})
			if !slices.Equal(texts, test.texts) {
				t.Errorf("said\n%s\nwant\n%s", strings.Join(texts, "\n"), strings.Join(test.texts, "\n"))
			}
		})
	}
}

func TestNoRules(t *testing.T) {
	for _, test := range []struct {
		name string
		all  []stats // decoded stands for the rules loaded, drops for those that failed
		text string  // of the first alarm
	}{
		{"some", []stats{{0, 8, 1, 0, 99, ""}, {8, 16, 1, 0, 99, ""}}, ""},
		{"none yet", []stats{{0, 0, 0, 0, 0, ""}, {8, 8, 13, 0, 0, ""}, {16, 16, 0, 0, 0, ""}}, ""},
		{"none", []stats{{8, 8, 0, 0, 2, ""}, {16, 16, 0, 0, 2, "+no-rules"}, {24, 24, 0, 0, 2, ""}, {32, 32, 13, 0, 0, "-no-rules"}}, "Suricata runs without rules and detects nothing; is there a rule file, and does it load (2 rules failed)?"},
		{"restarted without", []stats{{0, 900, 0, 0, 0, ""}, {8, 908, 0, 0, 0, "+no-rules"}, {90, 8, 0, 0, 0, ""}}, "Suricata runs without rules and detects nothing; is there a rule file, and does it load (0 rules failed)?"},
		{"lost by a reload, twice", []stats{{0, 8, 9, 0, 0, ""}, {8, 16, 0, 0, 9, ""}, {16, 24, 0, 0, 9, "+no-rules"}, {24, 32, 9, 0, 0, "-no-rules"}, {32, 40, 0, 0, 9, ""}, {40, 48, 0, 0, 9, "+no-rules"}}, "Suricata runs without rules and detects nothing; is there a rule file, and does it load (9 rules failed)?"},
	} {
		t.Run(test.name, func(t *testing.T) {
			texts := feed(t, watch("Suricata"), test.all, func(s stats) suricata.Stats {
				return suricata.Stats{Rules: &suricata.Rules{Loaded: s.decoded, Failed: s.drops}}
			})
			if text := strings.Join(texts[:min(1, len(texts))], ""); text != test.text {
				t.Errorf("said %q, want %q", text, test.text)
			}
		})
	}
}

// Two alarms of one process about its rules are two, not one reported twice.
func TestNoRulesTwiceHasTwoBeginnings(t *testing.T) {
	v := watch("Suricata")
	var began []time.Time
	for i, loaded := range []uint64{0, 0, 5, 0, 0} {
		v.packets.judge(v, begin().Add(time.Duration(8*i)*time.Second), suricata.Stats{Uptime: time.Duration(8*i) * time.Second, Rules: &suricata.Rules{Loaded: loaded}})
		for _, a := range v.Alarms() {
			if a.Over {
				continue
			}
			if began = append(began, a.Since); a.Severity != proto.SeverityHigh {
				t.Errorf("severity %s", a.Severity)
			}
		}
	}
	if len(began) != 2 || began[0].Equal(began[1]) {
		t.Errorf("began %v", began)
	}
}
