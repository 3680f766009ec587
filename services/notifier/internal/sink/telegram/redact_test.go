package telegram

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/services/internal/secret"
	"github.com/openclaw-security/bus/services/notifier/internal/sink"
	"github.com/openclaw-security/bus/services/testing/secrettest"
)

func TestSecretsAreRedacted(t *testing.T) {
	for _, l := range secrettest.Leaks() {
		t.Run(l.Name, func(t *testing.T) {
			for _, around := range []string{"%", "before % behind", "(%)", `"%"`, "a;%;b"} {
				got := format.Line(strings.Replace(around, "%", l.Text, 1), 1000)
				if leaked(got, l.Secret) || !strings.Contains(got, secret.Mark) {
					t.Errorf("%s: %s", around, got)
				}
			}
		})
	}
}

// leaked reports whether a text shows a secret, as it is or defanged.
func leaked(text, secret string) bool {
	text = strings.NewReplacer("[", "", "]", "").Replace(text)
	return strings.Contains(text, strings.NewReplacer("[", "", "]", "").Replace(secret))
}

// picked is one of the batches that text is in, by a number.
func picked(text string, which uint) sink.Batch {
	all := batches(text)
	names := slices.Sorted(maps.Keys(all))
	return all[names[which%uint(len(names))]]
}

// FuzzSecrets: whatever stands around a secret, and wherever, it does not leave.
func FuzzSecrets(f *testing.F) {
	leaks := secrettest.Leaks()
	for i := range uint(len(leaks)) {
		if i%2 == 0 {
			f.Add("curl -H", "http://evil.example", i, i/2)
		} else {
			f.Add("Authorization: bearer password=", "\u200b", i, i/2)
		}
	}
	c, err := New(Config{Token: testToken, Chat: "5", PerMinute: 1})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, before, behind string, which, where uint) {
		l := leaks[which%uint(len(leaks))]
		if leaked(before+" "+behind, l.Secret) {
			t.Skip("the text around it holds the secret already")
		}
		b := picked(before+" "+l.Text+" "+behind, where)
		for _, level := range []int{levelRich, levelShort, levelMinimal} { // the second says what the first says
			m, _ := c.Render(b, level)
			if got := decoded(t, m).Text; leaked(got, l.Secret) {
				t.Errorf("level %d: %s in\n%s", level, l.Name, got)
			}
		}
	})
}
