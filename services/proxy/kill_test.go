package proxy

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/testing/bustest"
	"github.com/openclaw-security/bus/services/testing/testenv"
)

// TestKilledProcessesLoseNoRecord kills the proxy and NATS with SIGKILL at
// random moments under load, TEST_KILLS times, and compares the streams with what has reached the
// provider and with what clients were answered:
//
//   - what has reached the provider has a record, if only of its start;
//   - what was answered to the end has a final one, and its alert;
//   - no record and no alert is there twice.
func TestKilledProcessesLoseNoRecord(t *testing.T) {
	const clients = 24
	kills, seed := testenv.Count(t, "TEST_KILLS", 8), testenv.Seed(t)
	random := rand.New(rand.NewPCG(seed, 0))
	s := startSystem(t)
	l := startLoad(t, s.url, seed, clients)

	for i := range kills {
		until := s.arrivals() + 1 + random.IntN(80)
		bustest.Eventually(t, "the load goes on", func() bool { return s.arrivals() >= until })
		// The first two are one of each.
		if i == 0 || i > 1 && random.IntN(2) == 0 {
			s.must(s.proxy.Restart())
			continue
		}
		s.must(s.nats.Kill())
		until = s.arrivals() + random.IntN(60) // these wait on disk
		bustest.Eventually(t, "the load goes on without NATS", func() bool { return s.arrivals() >= until })
		s.must(s.nats.Start())
	}
	l.stop()

	// Of each spool the order is kept: once the records and the alert of the last
	// request are there, so is everything.
	var last *asked
	for last == nil || !last.alert || last.blocked {
		if last = l.ask(t); last == nil {
			t.Fatal("a request is not answered although nothing is killed any more")
		}
	}
	records, alerts := s.records(last)
	killed := s.proxy.Kills()
	if killed == 0 || len(l.answered) < clients {
		t.Errorf("the proxy was killed %d times, %d requests were answered", killed, len(l.answered))
	}
	l.compare(t, s, records, alerts, killed*clients)
	t.Logf("%d requests sent, %d answered %v, %d at the provider; %d records, %d alerts; the proxy was killed %d times, NATS %d",
		l.last.Load(), len(l.answered), l.statuses, s.arrivals(), len(records), len(alerts), killed, s.nats.Kills())
}

// records returns what the streams hold, once the final record and the alert of
// the last request are there.
func (s *system) records(last *asked) (records []proto.Audit, alerts []alerted) {
	s.t.Helper()
	tail := s.nats.Conn(s.t, bus.RoleTail)
	hash := s.hmac(last.text)
	bustest.Eventually(s.t, "everything is stored", func() bool {
		records, alerts = nil, nil
		history(s.t, tail, proto.StreamAudit, &records)
		history(s.t, tail, proto.AlertsStream(source), &alerts)
		if len(records) == 0 || len(alerts) == 0 {
			return false
		}
		end := records[len(records)-1]
		return end.PromptHMAC == hash && end.Phase == proto.PhaseEnd && alerts[len(alerts)-1].Raw.RequestID == end.RequestID
	})
	return records, alerts
}

// alerted is what an alert says of the request that it is about.
type alerted struct {
	ID  string `json:"id"`
	Raw struct {
		RequestID string `json:"request_id"`
	} `json:"raw"`
}

func history[T any](t *testing.T, c *bus.Conn, stream string, into *[]T) {
	t.Helper()
	for m, err := range c.History(t.Context(), stream, proto.StoredPrefix+".>", bus.Start{}) {
		if err != nil {
			t.Fatal(err)
		}
		var v T
		if err := json.Unmarshal(m.Data, &v); err != nil {
			t.Fatal(err)
		}
		*into = append(*into, v)
	}
}

// hmac is the hash that a record has of what a user says.
func (s *system) hmac(text string) string {
	s.t.Helper()
	key, err := os.ReadFile(filepath.Join(s.dir, "audit", "prompt-hmac.key"))
	if err != nil {
		s.t.Fatal(err)
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return hex.EncodeToString(mac.Sum(nil))
}

// compare checks the records against what has happened; at most so many
// requests can have been interrupted.
func (l *load) compare(t *testing.T, s *system, records []proto.Audit, alerts []alerted, interruptions int) {
	t.Helper()
	ids := make(map[string]bool)
	starts, ends := make(map[string]proto.Audit), make(map[string]proto.Audit)
	started := make(map[string]int) // by the hash of the prompt
	for _, r := range records {
		if ids[r.ID] {
			t.Errorf("record %s is there twice", r.ID)
		}
		ids[r.ID] = true
		switch {
		case r.Phase == proto.PhaseStart:
			starts[r.RequestID] = r
			started[r.PromptHMAC]++
		case r.Decision != proto.DecisionBlocked && starts[r.RequestID].ID == "":
			t.Errorf("request %s has a final record and none of its start before: %+v", r.RequestID, r)
			fallthrough
		default:
			ends[r.RequestID] = r
		}
	}
	told := make(map[string]int) // alerts by request
	for _, a := range alerts {
		if ids[a.ID] {
			t.Errorf("alert %s is there twice", a.ID)
		}
		ids[a.ID] = true
		told[a.Raw.RequestID]++
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	for n, times := range s.arrived {
		a := newAsked(l.seed, n)
		if times != 1 || a.blocked {
			t.Errorf("%q has reached the provider %d times", a.text, times)
		}
		if started[s.hmac(a.text)] != 1 {
			t.Errorf("%q has reached the provider, and has %d records of its start", a.text, started[s.hmac(a.text)])
		}
	}
	for id, a := range l.answered {
		decision, alerts := proto.DecisionAllowed, 0
		if a.blocked {
			decision = proto.DecisionBlocked
		}
		if a.alert {
			alerts = 1
		}
		end := ends[id]
		if end.Decision != decision || end.PromptHMAC != s.hmac(a.text) {
			t.Errorf("%q was answered as request %s, the final record is %+v", a.text, id, end)
		}
		if told[id] != alerts {
			t.Errorf("%q has caused %d alerts, want %d", a.text, told[id], alerts)
		}
	}
	open := 0
	for id := range starts {
		if ends[id].ID == "" {
			open++
		}
	}
	t.Logf("%d requests were interrupted", open)
	if open > interruptions {
		t.Errorf("%d requests have no final record, at most %d were interrupted", open, interruptions)
	}
}
