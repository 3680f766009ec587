package redact

import (
	"slices"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/services/internal/redact/redacttest"
)

func TestSecretsAreRedacted(t *testing.T) {
	for _, l := range redacttest.Leaks() {
		t.Run(l.Name, func(t *testing.T) {
			for _, around := range []string{"%", "before % behind", "(%)", `"%"`, "a;%;b", "one\n%\ntwo"} {
				got := Text(strings.Replace(around, "%", l.Text, 1))
				if strings.Contains(got, l.Secret) || !strings.Contains(got, Mark) {
					t.Errorf("%s: %s", around, got)
				}
			}
		})
	}
}

func TestWhatIsNoSecretStays(t *testing.T) {
	for _, text := range redacttest.Harmless() {
		if got := Text(text); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
}

func TestEachShapeHasALeak(t *testing.T) {
	for i := range shapes {
		f := &shapes[i]
		if !slices.ContainsFunc(redacttest.Leaks(), func(l redacttest.Leak) bool {
			return f.hinted(strings.ToLower(l.Text)) && f.pattern.MatchString(l.Text)
		}) {
			t.Errorf("%s: no secret of the test is of this shape", f.name)
		}
	}
}
