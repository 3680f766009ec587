package proto_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/proto"
)

// streamsOf names the streams that hold what is published to a subject.
func streamsOf(ingest string) []string {
	var names []string
	for _, s := range allStreams() {
		for _, pattern := range s.Subjects {
			if !matches(pattern, ingest) {
				continue
			}
			names = append(names, s.Name)
		}
	}
	return names
}

// allStreams are those of a bus with a few sources.
func allStreams() []proto.Stream {
	return append(proto.SourceStreams([]proto.SourceName{
		{Name: "suricata", Events: true}, {Name: "word", Events: true}, {Name: "proxy"},
	}), proto.Streams()...)
}

// matches knows the patterns that the streams use: literal tokens and "*", then ">".
func matches(pattern, subject string) bool {
	tokens := strings.Split(subject, ".")
	for i, p := range strings.Split(pattern, ".") {
		switch {
		case p == ">":
			return i < len(tokens)
		case i >= len(tokens) || p != "*" && p != tokens[i]:
			return false
		}
	}
	return false
}

func TestStreamsHold(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, subject, want string }{
		{"alert", "ingest.alert.box1.suricata.alert.high", "ALERTS_suricata"},
		{"event", "ingest.event.box1.suricata.dns.info", "EVENTS_suricata"},
		{"alert of a service", "ingest.alert.box1.proxy.alert.high", "ALERTS_proxy"},
		{"event of a service that has none", "ingest.event.box1.proxy.x.info", ""},
		{"checkpoint", "ingest.event.box1.auditor.checkpoint.info", "SECURITY_CHECKPOINTS"},
		{"audit", "ingest.audit.box1.proxy.request.info", "SECURITY_AUDIT"},
		{"dead letter", proto.DeadSubject(proto.StreamAlerts, "notifier-telegram"), "SECURITY_DEAD"},
		{"forged fact", "security.alert.box1.suricata.alert.high", ""},
		{"unknown class", "ingest.other.box1.suricata.alert.high", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := strings.Join(streamsOf(tt.subject), " "); got != tt.want {
				t.Errorf("%s goes to %q, want %q", tt.subject, got, tt.want)
			}
		})
	}
}

func TestStreamsAreBounded(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for _, s := range append(allStreams(), proto.RetiredStreams()...) {
		if seen[s.Name] {
			t.Errorf("%s is defined twice", s.Name)
		}
		if s.Description == "" || s.MaxAge <= 0 || s.MaxBytes <= 0 {
			t.Errorf("%s lacks a description or a bound: %+v", s.Name, s)
		}
		if (len(s.Subjects) == 0) == (len(s.Sources) == 0) {
			t.Errorf("%s is to have either subjects or sources: %+v", s.Name, s)
		}
		for _, source := range s.Sources {
			if !seen[source.Stream] {
				t.Errorf("%s copies %s, which is not created before it", s.Name, source.Stream)
			}
		}
		if s.AppendOnly && s.Discard != proto.DiscardNew {
			t.Errorf("%s is append-only, yet drops %s messages", s.Name, s.Discard)
		}
		seen[s.Name] = true
	}
	durables := make(map[string]bool)
	for _, c := range append(proto.LaneConsumers("chat", proto.StreamAlerts), proto.AuditConsumer(), proto.SinkConsumer("stdout", proto.StreamAlerts)) {
		if !seen[c.Stream] {
			t.Errorf("%s consumes %s, which is not defined", c.Durable, c.Stream)
		}
		if durables[c.Durable] || proto.Slug(c.Durable) != c.Durable {
			t.Errorf("%s is defined twice or is no subject token", c.Durable)
		}
		if c.AckWait <= 0 || c.MaxAckPending <= 0 {
			t.Errorf("%s lacks a bound: %+v", c.Durable, c)
		}
		durables[c.Durable] = true
	}
}

// Between them the lanes of a stream take each alert once.
func TestLanes(t *testing.T) {
	t.Parallel()
	for stream, want := range map[string]int{proto.StreamAlerts: 2, proto.AlertsStream("suricata"): 3} {
		lanes := proto.LaneConsumers("chat", stream)
		if len(lanes) != want || slices.ContainsFunc(lanes, func(c proto.Consumer) bool { return c.Stream != stream }) {
			t.Errorf("%s has the lanes %+v", stream, lanes)
		}
		for s := proto.SeverityLow; s <= proto.SeverityCritical; s++ {
			takes := 0
			for _, lane := range lanes {
				if slices.Contains(lane.Filters, proto.AlertFilter(s)) {
					takes++
				}
			}
			if takes != 1 {
				t.Errorf("%d lanes of %s take %s alerts", takes, stream, s)
			}
		}
	}
}

func TestDeadSubject(t *testing.T) {
	t.Parallel()
	if got, want := proto.DeadSubject(proto.StreamAlerts, "notifier-stdout"), "dead.security_alerts.notifier-stdout"; got != want {
		t.Errorf("DeadSubject = %q, want %q", got, want)
	}
}

func TestStreamsOfASource(t *testing.T) {
	t.Parallel()
	names := []string{"SECURITY", "SECURITY_ALERTS", "SECURITY_CHECKPOINTS", "SECURITY_DEAD", "EVENTS_b", "ALERTS_b", "KV_SECURITY_STATE", "ALERTS_a", "other"}
	if got, want := proto.AlertStreams(names), []string{"ALERTS_a", "ALERTS_b", "SECURITY_ALERTS"}; !slices.Equal(got, want) {
		t.Errorf("streams of alerts: %q, want %q", got, want)
	}
	if got, want := proto.SecurityStreams(names), []string{"ALERTS_a", "ALERTS_b", "EVENTS_b", "SECURITY_CHECKPOINTS", "SECURITY"}; !slices.Equal(got, want) {
		t.Errorf("streams of alerts and events: %q, want %q", got, want)
	}
	if got, want := proto.AlertsStream("My Sensor")+" "+proto.EventsStream("proxy"), "ALERTS_my-sensor EVENTS_proxy"; got != want {
		t.Errorf("names %q, want %q", got, want)
	}
}
