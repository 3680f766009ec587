package proto_test

import (
	"strings"
	"testing"

	"github.com/openclaw-security/bus/proto"
)

// streamsOf names the streams that hold what is published to a subject.
func streamsOf(ingest string) []string {
	var names []string
	stored := ingest
	for _, s := range proto.Streams() {
		for _, pattern := range s.Subjects {
			if !matches(pattern, ingest) {
				continue
			}
			names = append(names, s.Name)
			if s.Stored {
				stored = proto.StoredPrefix + strings.TrimPrefix(ingest, proto.IngestPrefix)
			}
		}
		for _, source := range s.Sources {
			if len(names) > 0 && names[0] == source.Stream && matches(source.Filter, stored) {
				names = append(names, s.Name)
			}
		}
	}
	return names
}

// matches knows the patterns that the streams use: literal tokens, then ">".
func matches(pattern, subject string) bool {
	prefix, ok := strings.CutSuffix(pattern, ">")
	return ok && !strings.ContainsAny(prefix, "*>") && len(subject) > len(prefix) && strings.HasPrefix(subject, prefix)
}

func TestStreamsHold(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, subject, want string }{
		{"alert", "ingest.alert.box1.suricata.alert.high", "SECURITY SECURITY_ALERTS"},
		{"event", "ingest.event.box1.suricata.dns.info", "SECURITY"},
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
	for _, s := range proto.Streams() {
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
	for _, c := range proto.Consumers() {
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

func TestDeadSubject(t *testing.T) {
	t.Parallel()
	if got, want := proto.DeadSubject(proto.StreamAlerts, "notifier-stdout"), "dead.security_alerts.notifier-stdout"; got != want {
		t.Errorf("DeadSubject = %q, want %q", got, want)
	}
}
