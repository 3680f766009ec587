package doctor

import (
	"strings"
	"testing"
	"time"
)

// want is what one finding must be; part is in its text.
type want struct {
	subject string
	state   State
	part    string
}

// check compares all that was found with what must be.
func check(t *testing.T, found []Finding, wants ...want) {
	t.Helper()
	for i, f := range found {
		if i >= len(wants) {
			t.Errorf("unexpected: %+v", f)
			continue
		}
		if w := wants[i]; f.Subject != w.subject || f.State != w.state || !strings.Contains(f.Text, w.part) {
			t.Errorf("found %+v\nwant %+v", f, w)
		}
	}
	if len(found) < len(wants) {
		t.Errorf("%d findings, want %d; missing %+v", len(found), len(wants), wants[len(found)])
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second:                  "0s",
		59 * time.Second:              "59s",
		time.Hour - time.Second:       "59m",
		time.Hour + 5*time.Minute:     "1h05m",
		48*time.Hour - time.Second:    "47h59m",
		14*24*time.Hour + time.Second: "14 days",
	} {
		if got := span(d); got != want {
			t.Errorf("span(%s) = %q, want %q", d, got, want)
		}
	}
}

// TestForeignText: what comes from outside can neither colour the terminal nor
// fill it.
func TestForeignText(t *testing.T) {
	var f findings
	f.add("a\x1b[31mb\nc", Good, "%s", "x\x1b]0;title\a\u202e"+strings.Repeat("y", 5000))
	if got := f.all[0]; strings.ContainsAny(got.Subject+got.Text, "\x1b\a\n\u202e") || len([]rune(got.Text)) > textLimit+1 {
		t.Errorf("%q", got)
	}
}
