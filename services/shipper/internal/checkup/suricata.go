package checkup

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/check"
)

const (
	// rulesMaxAge is after how long rules count as old: ET Open changes daily.
	rulesMaxAge = 14 * 24 * time.Hour
	// dropsTold is the share of packets that Suricata may lose.
	dropsTold = 0.01
	// packetsWithin is how soon after its start Suricata should have seen one.
	packetsWithin = 5 * time.Minute
)

// eveStats is what is used of Suricata's record of statistics
// (https://docs.suricata.io/en/suricata-8.0.0/output/eve/eve-json-format.html#event-type-stats).
// Counters begin at Suricata's start. Without a live interface there is no
// capture.
type eveStats struct {
	Stats struct {
		Uptime  int64 `json:"uptime"` // seconds
		Capture *struct {
			Packets int64 `json:"kernel_packets"`
			Drops   int64 `json:"kernel_drops"`
		} `json:"capture"`
		Decoder struct {
			Packets int64 `json:"pkts"`
		} `json:"decoder"`
		Detect struct {
			Engines []struct {
				LastReload string `json:"last_reload"`
				Loaded     int64  `json:"rules_loaded"`
				Failed     int64  `json:"rules_failed"`
			} `json:"engines"`
		} `json:"detect"`
	} `json:"stats"`
}

// statsWithin is until when Suricata has written statistics at least once, with
// time to spare: our configuration has it do so every minute.
const statsWithin = 3 * time.Minute

// suricata judges the statistics that Suricata has written last.
func (c *checkup) suricata(ctx context.Context, f *check.List, s *source) {
	if s.stats == nil {
		first, err := c.firstOf(ctx, s)
		if err == nil && first != nil && c.Bus.Age(first) < statsWithin {
			f.Add(s.subject()+" packets", check.Good, "it has only just begun and written no statistics yet")
			return
		}
		f.Add(s.subject()+" packets", check.Warning, "it writes no statistics, so that lost packets and missing rules go unnoticed: turn on `stats` among the types of eve-log")
		return
	}
	e, err := decode(s.stats)
	var stats eveStats
	if err == nil {
		err = json.Unmarshal(e.Raw, &stats)
	}
	if err != nil {
		f.Add(s.subject()+" packets", check.Warning, "its statistics cannot be read: %v", err)
		return
	}
	stats.judgePackets(f, s.subject()+" packets", c.Bus.Age(s.stats))
	stats.judgeRules(f, s.subject()+" rules", c.RulesFile, c.Bus.Now())
}

// judgePackets judges what had been captured when the statistics were written,
// age ago.
func (e *eveStats) judgePackets(f *check.List, subject string, age time.Duration) {
	uptime := time.Duration(e.Stats.Uptime) * time.Second
	packets, drops := e.Stats.Decoder.Packets, int64(0)
	if capture := e.Stats.Capture; capture != nil {
		packets, drops = capture.Packets, capture.Drops
	}
	if packets == 0 && drops == 0 {
		text := fmt.Sprintf("it has seen no packet in the %s since its start", check.Span(uptime))
		if uptime < packetsWithin {
			f.Add(subject, check.Good, "%s", text)
		} else {
			f.Add(subject, check.Fault, "%s: have it watch the bridge of the agent's network, which docker0 is not if Compose made that network", text)
		}
		return
	}
	share := float64(drops) / float64(max(packets, drops))
	text := fmt.Sprintf("%d packets in %s, %.1f %% lost, as of %s ago", packets, check.Span(uptime), 100*share, check.Span(age))
	if share > dropsTold {
		f.Add(subject, check.Warning, "%s: what was lost was not inspected; give Suricata more threads or a larger ring", text)
		return
	}
	f.Add(subject, check.Good, "%s", text)
}

// judgeRules judges the rules in force, and how old they are at a time: as old
// as their file if there is one to be seen, else as the moment they were loaded.
func (e *eveStats) judgeRules(f *check.List, subject, file string, now time.Time) {
	if len(e.Stats.Detect.Engines) == 0 {
		f.Add(subject, check.Warning, "its statistics do not tell of rules")
		return
	}
	var loaded, failed int64
	var since time.Time
	for _, engine := range e.Stats.Detect.Engines {
		loaded, failed = loaded+engine.Loaded, failed+engine.Failed
		if at, err := time.Parse("2006-01-02T15:04:05.999999-0700", engine.LastReload); err == nil && at.After(since) {
			since = at
		}
	}
	what := "Suricata loaded them"
	if file != "" {
		info, err := os.Stat(file)
		if err != nil {
			f.Add(subject+" file", check.Warning, "its age cannot be told: %v; have rules been fetched?", err)
		} else {
			since, what = info.ModTime(), "their file was written"
		}
	}
	text := fmt.Sprintf("%d rules in force, %d failed to load", loaded, failed)
	age := now.Sub(since)
	if !since.IsZero() {
		text += fmt.Sprintf("; %s %s ago", what, check.Span(age))
	}
	switch {
	case loaded == 0:
		f.Add(subject, check.Fault, "no rule is loaded, so that nothing on the network raises an alert: update the rules, and see what Suricata's log says of them")
	case failed > 0:
		f.Add(subject, check.Warning, "%s: `suricata -T` names them", text)
	case !since.IsZero() && age > rulesMaxAge:
		f.Add(subject, check.Warning, "%s: update them", text)
	default:
		f.Add(subject, check.Good, "%s", text)
	}
}

// firstOf returns the oldest message of a source, nil if there is none.
func (c *checkup) firstOf(ctx context.Context, s *source) (*bus.Stored, error) {
	for m, err := range c.Bus.Conn.MergedHistory(ctx, c.Bus.State.Security(), proto.SourceFilter(s.host, s.name), bus.Start{}) {
		return m, err
	}
	return nil, nil
}
