package detect

import (
	"strings"
	"testing"

	"github.com/openclaw-security/bus/proto"
)

// The exceptions were written with the first half of each set in sight; the second was
// looked at when they were done. An installer that its vendor documents may be reported as
// what it is. -v prints the rates that docs/measurements.md has.
func TestCommandRates(t *testing.T) {
	for _, tt := range []struct {
		name   string
		attack bool
		most   int // wrong
	}{
		{"commands-ordinary-develop", false, 0},
		{"commands-attacks-develop", true, 0},
		{"commands-ordinary-judge", false, 2},
		{"commands-attacks-judge", true, 0},
	} {
		texts := linkTexts(t, tt.name)
		d := alone(t, DangerousCommand)
		var wrong []string
		for _, text := range texts {
			worst := proto.SeverityInfo
			for _, f := range d.ToolCall("c", bash(text)) {
				worst = max(worst, f.Severity)
			}
			if (worst > proto.SeverityLow) != tt.attack {
				wrong = append(wrong, text)
			}
		}
		t.Logf("%s: %d of %d right", tt.name, len(texts)-len(wrong), len(texts))
		if len(wrong) > tt.most {
			t.Errorf("%s: %d of %d wrong\n%s", tt.name, len(wrong), len(texts), strings.Join(wrong, "\n"))
		}
	}
}
