package proto_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/proto"
)

func TestNewSubject(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name               string
		host, source, kind string
		severity           proto.Severity
		ingest, stored     string
	}{
		{
			"alert", "box1", "suricata", "alert", proto.SeverityHigh,
			"ingest.alert.box1.suricata.alert.high", "security.alert.box1.suricata.alert.high",
		},
		{
			"telemetry", "box1", "tracee", "sched_process_exec", proto.SeverityInfo,
			"ingest.event.box1.tracee.sched_process_exec.info", "security.event.box1.tracee.sched_process_exec.info",
		},
		{
			"foreign words", "Box 1.lan", "My*Sensor", "a>b", proto.SeverityLow,
			"ingest.alert.box-1-lan.my-sensor.a-b.low", "security.alert.box-1-lan.my-sensor.a-b.low",
		},
		{
			"no words", "", "...", "\x00", proto.SeverityInfo,
			"ingest.event.unknown.unknown.unknown.info", "security.event.unknown.unknown.unknown.info",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := proto.NewSubject(tt.host, tt.source, tt.kind, tt.severity)
			if got := s.Ingest(); got != tt.ingest {
				t.Errorf("Ingest() = %q, want %q", got, tt.ingest)
			}
			if got := s.Stored(); got != tt.stored {
				t.Errorf("Stored() = %q, want %q", got, tt.stored)
			}
			if err := s.Validate(); err != nil {
				t.Errorf("Validate: %v", err)
			}
		})
	}
}

func TestRecordSubjects(t *testing.T) {
	t.Parallel()
	e := proto.Event{Host: "box1", Source: "suricata", Kind: "dns"}
	e.SetSeverity(proto.SeverityInfo)
	if got, want := e.Subject().Stored(), "security.event.box1.suricata.dns.info"; got != want {
		t.Errorf("event: %q, want %q", got, want)
	}
	e.SetSeverity(proto.SeverityMedium)
	if got, want := e.Subject().Stored(), "security.alert.box1.suricata.dns.medium"; got != want {
		t.Errorf("raised event: %q, want %q", got, want)
	}
	if e.SeverityID != 3 {
		t.Errorf("SetSeverity left the number %d, want 3", e.SeverityID)
	}
	for _, severity := range proto.Severities() {
		a := proto.Audit{Host: "box1", Source: "proxy", Kind: "request", Severity: severity}
		if got, want := a.Subject().Stored(), "security.audit.box1.proxy.request."+severity.String(); got != want {
			t.Errorf("audit: %q, want %q", got, want)
		}
		if err := a.Subject().Validate(); err != nil {
			t.Errorf("audit of severity %s: %v", severity, err)
		}
	}
}

func TestParseSubject(t *testing.T) {
	t.Parallel()
	alert := proto.Subject{Class: proto.ClassAlert, Host: "box1", Source: "suricata", Kind: "alert", Severity: proto.SeverityHigh}
	longest := strings.Repeat("a", proto.MaxTokenLength)
	tests := []struct {
		name, subject string
		want          proto.Subject
	}{
		{"stored", "security.alert.box1.suricata.alert.high", alert},
		{"ingest", "ingest.alert.box1.suricata.alert.high", alert},
		{
			"audit of any severity", "security.audit.box1.proxy.request.critical",
			proto.Subject{Class: proto.ClassAudit, Host: "box1", Source: "proxy", Kind: "request", Severity: proto.SeverityCritical},
		},
		{
			"longest token", "security.event." + longest + ".s.k.info",
			proto.Subject{Class: proto.ClassEvent, Host: longest, Source: "s", Kind: "k"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := proto.ParseSubject(tt.subject)
			if err != nil || got != tt.want {
				t.Errorf("ParseSubject(%q) = %+v, %v; want %+v", tt.subject, got, err, tt.want)
			}
		})
	}
}

func TestParseSubjectErrors(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, subject string }{
		{"empty", ""},
		{"five tokens", "security.alert.box1.suricata.high"},
		{"seven tokens", "security.alert.box1.lan.suricata.alert.high"},
		{"foreign prefix", "dead.alert.box1.suricata.alert.high"},
		{"unknown class", "security.alarm.box1.suricata.alert.high"},
		{"wildcard", "security.alert.*.suricata.alert.high"},
		{"full wildcard", "security.alert.box1.suricata.alert.>"},
		{"empty host", "security.alert..suricata.alert.high"},
		{"upper case", "security.alert.Box1.suricata.alert.high"},
		{"space", "security.alert.box1.suri cata.alert.high"},
		{"token too long", "security.alert.box1.suricata." + strings.Repeat("a", proto.MaxTokenLength+1) + ".high"},
		{"unknown severity", "security.alert.box1.suricata.alert.severe"},
		{"alert of severity info", "security.alert.box1.suricata.alert.info"},
		{"event above info", "security.event.box1.suricata.alert.high"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := proto.ParseSubject(tt.subject)
			if !errors.Is(err, proto.ErrSubject) || got != (proto.Subject{}) {
				t.Errorf("ParseSubject(%q) = %+v, %v; want no subject and ErrSubject", tt.subject, got, err)
			}
		})
	}
}

func TestValidateSeverity(t *testing.T) {
	t.Parallel()
	s := proto.NewSubject("box1", "suricata", "alert", proto.SeverityCritical+1)
	if err := s.Validate(); !errors.Is(err, proto.ErrSubject) {
		t.Errorf("Validate() = %v for a severity outside the scale, want ErrSubject", err)
	}
}

func TestSourceFilter(t *testing.T) {
	t.Parallel()
	if got, want := proto.SourceFilter("Box 1", "suricata"), "security.*.box-1.suricata.>"; got != want {
		t.Errorf("SourceFilter = %q, want %q", got, want)
	}
}

func TestSlug(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, word, want string }{
		{"valid", "box1", "box1"},
		{"valid with trailing hyphen", "box1-", "box1-"},
		{"upper case", "SURICATA", "suricata"},
		{"run of others", "a.*> b", "a-b"},
		{"others at both ends", "..box1..", "box1"},
		{"beyond ASCII", "büro", "b-ro"},
		{"invalid UTF-8", "a\xff\xfeb", "a-b"},
		{"empty", "", "unknown"},
		{"nothing left", "...", "unknown"},
		{"hyphens only, too many", strings.Repeat("-", proto.MaxTokenLength+1), "unknown"},
		{"longest", strings.Repeat("a", proto.MaxTokenLength), strings.Repeat("a", proto.MaxTokenLength)},
		{"too long", strings.Repeat("a", proto.MaxTokenLength+1), strings.Repeat("a", proto.MaxTokenLength)},
		{"cut at a hyphen", strings.Repeat("a", proto.MaxTokenLength-1) + ".b", strings.Repeat("a", proto.MaxTokenLength-1)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := proto.Slug(tt.word); got != tt.want {
				t.Errorf("Slug(%q) = %q, want %q", tt.word, got, tt.want)
			}
		})
	}
}

func FuzzSlug(f *testing.F) {
	for _, word := range []string{"", "box1", "Box 1.lan", "a*b>c", "-", "--A", "büro", "\xff", strings.Repeat("x.", 80)} {
		f.Add(word)
	}
	f.Fuzz(func(t *testing.T, word string) {
		token := proto.Slug(word)
		if token == "" || len(token) > proto.MaxTokenLength {
			t.Fatalf("Slug(%q) = %q of %d bytes", word, token, len(token))
		}
		if i := strings.IndexFunc(token, func(r rune) bool {
			return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789_-", r)
		}); i >= 0 {
			t.Fatalf("Slug(%q) = %q, not a token at byte %d", word, token, i)
		}
		if again := proto.Slug(token); again != token {
			t.Fatalf("Slug(%q) = %q, again %q", word, token, again)
		}
		s := proto.NewSubject(word, word, word, proto.SeverityHigh)
		for _, subject := range []string{s.Stored(), s.Ingest()} {
			if back, err := proto.ParseSubject(subject); err != nil || back != s {
				t.Fatalf("ParseSubject(%q) = %+v, %v; want %+v", subject, back, err, s)
			}
		}
	})
}

func FuzzParseSubject(f *testing.F) {
	for _, subject := range []string{
		"",
		".....",
		"security.alert.box1.suricata.alert.high",
		"ingest.event.box1.tracee.sched_process_exec.info",
		"security.audit.box1.proxy.request.critical",
		"security.event.box1.suricata.alert.high",
		"security.*.box1.suricata.>",
		"dead.security.notifier-stdout",
	} {
		f.Add(subject)
	}
	f.Fuzz(func(t *testing.T, subject string) {
		s, err := proto.ParseSubject(subject)
		if err != nil {
			if !errors.Is(err, proto.ErrSubject) {
				t.Fatalf("ParseSubject(%q): %v does not wrap ErrSubject", subject, err)
			}
			return
		}
		if subject != s.Stored() && subject != s.Ingest() {
			t.Fatalf("ParseSubject(%q) is written %q", subject, s.Stored())
		}
		if err := s.Validate(); err != nil {
			t.Fatalf("ParseSubject(%q) is invalid: %v", subject, err)
		}
	})
}
