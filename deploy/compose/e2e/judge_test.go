package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/openclaw-security/bus/proto"
)

// judge waits until the stack has done all that the load has given it to do, and
// says what is missing or twice.
func (r *rig) judge(l *load) {
	r.t.Helper()
	l.stop()
	r.t.Logf("the load was %d lines and %d requests in %.0f s; %d requests failed",
		l.suricata.lines+l.tracee.lines, len(l.agent.answered)+l.agent.failed, l.lasted.Seconds(), l.agent.failed)
	behind := func() float64 { return (time.Since(l.begun) - l.lasted).Seconds() }
	nc := r.connect("operator")
	r.judgeLines(nc, l)
	r.t.Logf("every line is stored, once, %.1f s later", behind())
	alerts := r.judgeAlerts(nc, l)
	messages := r.judgeDeliveries(nc, sinkA, chatA, alerts)
	r.t.Logf("%d alerts are told in %d messages, %.1f s later", alerts, messages, behind())
	r.judgeAudit(nc, l)
	r.t.Logf("%d answered requests are recorded, and the log verifies, %.1f s later", len(l.agent.answered), behind())
}

// judgeLines checks that each line is stored once, in the order of the file in each stream.
func (r *rig) judgeLines(nc *nats.Conn, l *load) {
	r.t.Helper()
	c := newCensus(proto.AlertsStream("suricata"), proto.EventsStream("suricata"), proto.AlertsStream("tracee"), proto.EventsStream("tracee"))
	await(r.ctx, r.t, "every line to be stored", func() (bool, string) {
		if err := c.read(r.ctx, nc); err != nil {
			return false, err.Error()
		}
		suricata, tracee := len(c.lines["suricata"]), len(c.lines["tracee"])
		state := fmt.Sprintf("%d of %d lines of Suricata, %d of %d of Tracee", suricata, l.suricata.lines, tracee, l.tracee.lines)
		return suricata >= l.suricata.lines && tracee >= l.tracee.lines, state
	})
	for _, s := range []*sensor{l.suricata, l.tracee} {
		if n := len(c.lines[s.source]); n != s.lines {
			r.t.Errorf("%d lines of %s are stored, and %d were written", n, s.source, s.lines)
		}
		if fault := c.incomplete(s.source, 1); fault != "" {
			r.t.Error(fault)
		}
	}
	for _, fault := range c.faults {
		r.t.Error(fault)
	}
}

// judgeAlerts checks that each alert is in a stream of alerts once, and that
// the chat's ledger covers those that the chat must get. It returns how many
// those are.
func (r *rig) judgeAlerts(nc *nats.Conn, l *load) int {
	r.t.Helper()
	c := newCensus(alertStreams...)
	await(r.ctx, r.t, "every alert to be told", func() (bool, string) {
		if err := c.read(r.ctx, nc); err != nil {
			return false, err.Error()
		}
		if n := len(c.lines["suricata"]); n < l.suricata.alerts() {
			return false, fmt.Sprintf("%d of %d alerts are there", n, l.suricata.alerts())
		}
		told, err := r.deliveries(nc, sinkA)
		if err != nil {
			return false, err.Error()
		}
		untold := slices.DeleteFunc(slices.Clone(c.alerts), func(a alert) bool { return covering(told, a) > 0 })
		return len(untold) == 0, fmt.Sprintf("%d of %d alerts are not told, such as %v", len(untold), len(c.alerts), untold[:min(1, len(untold))])
	})
	if fault := c.incomplete("suricata", alertEvery); fault != "" {
		r.t.Error(fault)
	}
	for _, fault := range c.faults {
		r.t.Error(fault)
	}
	return len(c.alerts)
}

// deliveries is the ledger of a sink: the messages about alerts as they came.
func (r *rig) deliveries(nc *nats.Conn, sink string) ([]proto.Delivery, error) {
	messages, err := readStream(r.ctx, nc, proto.StreamDeliveries, 1)
	if err != nil {
		return nil, err
	}
	var all []proto.Delivery
	for _, m := range messages {
		var d proto.Delivery
		if err := json.Unmarshal(m.data, &d); err != nil {
			return nil, fmt.Errorf("reading a delivery: %w", err)
		}
		if d.Sink == sink && (d.Kind == proto.DeliveryCards || d.Kind == proto.DeliveryDigest) {
			all = append(all, d)
		}
	}
	return all, nil
}

// covering is how many deliveries are about an alert.
func covering(told []proto.Delivery, a alert) int {
	n := 0
	for i := range told {
		if told[i].Covers(a.stream, a.sequence) {
			n++
		}
	}
	return n
}

// judgeDeliveries checks the ledger against what the chat has really got, and
// returns how many messages about alerts that is.
func (r *rig) judgeDeliveries(nc *nats.Conn, sink, chat string, alerts int) int {
	r.t.Helper()
	told, err := r.deliveries(nc, sink)
	if err != nil {
		r.t.Fatal(err)
	}
	got := r.messages(chat)
	recorded := map[string]bool{}
	repeats, covered := 0, 0
	for _, d := range told {
		// One message can have two records (proto.Delivery).
		if recorded[d.MessageID] {
			continue
		}
		recorded[d.MessageID] = true
		covered += d.Alerts
		if d.MayRepeat {
			repeats++
		}
		if !slices.ContainsFunc(got, func(m chatMessage) bool { return fmt.Sprint(m.ID) == d.MessageID }) {
			r.t.Errorf("the ledger has message %s of %s, which the chat has not", d.MessageID, sink)
		}
	}
	if covered != alerts {
		r.t.Errorf("the messages to %s are about %d alerts, and there are %d", sink, covered, alerts)
	}
	// A message that is sent again because nobody knows whether it came must say
	// so.
	marked := 0
	for _, m := range got {
		if strings.Contains(m.Text, "may repeat") {
			marked++
		}
	}
	if marked < repeats {
		r.t.Errorf("%d messages may repeat, and %d say so", repeats, marked)
	}
	if repeats > 0 {
		r.t.Logf("%d messages were sent again because the answer to them was lost", repeats)
	}
	return len(recorded)
}

// judgeAudit checks that each answered request has both of its records once, and
// that the auditor's log holds and proves them.
func (r *rig) judgeAudit(nc *nats.Conn, l *load) {
	r.t.Helper()
	var count map[string]int
	await(r.ctx, r.t, "every request to be recorded", func() (bool, string) {
		var err error
		if count, err = r.records(nc); err != nil {
			return false, err.Error()
		}
		missing := slices.DeleteFunc(slices.Clone(l.agent.answered), func(id string) bool {
			return count[proto.AuditID(id, proto.PhaseStart)] > 0 && count[proto.AuditID(id, proto.PhaseEnd)] > 0
		})
		return len(missing) == 0, fmt.Sprintf("%d of %d requests lack a record, such as %v", len(missing), len(l.agent.answered), missing[:min(1, len(missing))])
	})
	for id, n := range count {
		if n != 1 {
			r.t.Errorf("audit record %s is stored %d times", id, n)
		}
	}
	r.awaitAuditor(nc)
	if code, output := r.once(r.secbus("audit", "verify", "--log", "/audit")); code != 0 {
		r.t.Errorf("the audit log does not verify: exit code %d: %s", code, output)
	}
}

// records counts the audit records by id.
func (r *rig) records(nc *nats.Conn) (map[string]int, error) {
	messages, err := readStream(r.ctx, nc, proto.StreamAudit, 1)
	if err != nil {
		return nil, err
	}
	count := map[string]int{}
	for _, m := range messages {
		count[m.header.Get(proto.HeaderEventID)]++
	}
	return count, nil
}

// awaitAuditor waits until the auditor has logged and acknowledged all there is.
func (r *rig) awaitAuditor(nc *nats.Conn) {
	r.t.Helper()
	await(r.ctx, r.t, "the auditor to be done", func() (bool, string) {
		m, err := nc.RequestWithContext(r.ctx, "$JS.API.CONSUMER.LIST."+proto.StreamAudit, nil)
		if err != nil {
			return false, err.Error()
		}
		var list struct {
			Consumers []struct {
				Name       string `json:"name"`
				Pending    int    `json:"num_pending"`
				AckPending int    `json:"num_ack_pending"`
			} `json:"consumers"`
		}
		if err := json.Unmarshal(m.Data, &list); err != nil {
			return false, err.Error()
		}
		for _, c := range list.Consumers {
			if c.Name == proto.DurableAuditor {
				return c.Pending == 0 && c.AckPending == 0, fmt.Sprintf("%+v", c)
			}
		}
		return false, string(m.Data)
	})
}
