package proto_test

import (
	"encoding/json"
	"testing"

	"github.com/openclaw-security/bus/proto"
)

func TestSeverity(t *testing.T) {
	t.Parallel()
	tests := []struct {
		severity proto.Severity
		token    string
		id       int
		class    proto.Class
	}{
		{proto.SeverityInfo, "info", 1, proto.ClassEvent},
		{proto.SeverityLow, "low", 2, proto.ClassAlert},
		{proto.SeverityMedium, "medium", 3, proto.ClassAlert},
		{proto.SeverityHigh, "high", 4, proto.ClassAlert},
		{proto.SeverityCritical, "critical", 5, proto.ClassAlert},
	}
	if got := len(proto.Severities()); got != len(tests) {
		t.Fatalf("the scale has %d severities, want %d", got, len(tests))
	}
	for i, tt := range tests {
		t.Run(tt.token, func(t *testing.T) {
			t.Parallel()
			if got := proto.Severities()[i]; got != tt.severity {
				t.Errorf("Severities()[%d] = %s", i, got)
			}
			if got := tt.severity.String(); got != tt.token {
				t.Errorf("String() = %q", got)
			}
			if got := tt.severity.ID(); got != tt.id {
				t.Errorf("ID() = %d, want %d", got, tt.id)
			}
			if got := tt.severity.Class(); got != tt.class {
				t.Errorf("Class() = %q, want %q", got, tt.class)
			}
			if got, err := proto.ParseSeverity(tt.token); err != nil || got != tt.severity {
				t.Errorf("ParseSeverity(%q) = %s, %v", tt.token, got, err)
			}
			b, err := json.Marshal(tt.severity)
			if err != nil || string(b) != `"`+tt.token+`"` {
				t.Errorf("json.Marshal = %s, %v", b, err)
			}
			var back proto.Severity
			if err := json.Unmarshal(b, &back); err != nil || back != tt.severity {
				t.Errorf("json.Unmarshal = %s, %v", back, err)
			}
		})
	}
}

func TestSeverityOutsideScale(t *testing.T) {
	t.Parallel()
	for _, token := range []string{"", "Info", "HIGH", " high", "5", "none", "severity(5)"} {
		if got, err := proto.ParseSeverity(token); err == nil {
			t.Errorf("ParseSeverity(%q) = %s, want an error", token, got)
		}
	}
	beyond := proto.SeverityCritical + 1
	if got := beyond.String(); got != "severity(5)" {
		t.Errorf("String() = %q", got)
	}
	if b, err := json.Marshal(beyond); err == nil {
		t.Errorf("json.Marshal = %s, want an error", b)
	}
	kept := proto.SeverityHigh
	if err := kept.UnmarshalText([]byte("worse")); err == nil || kept != proto.SeverityHigh {
		t.Errorf("UnmarshalText = %v and left %s, want an error and high", err, kept)
	}
}
