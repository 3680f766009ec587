// Package configtest tests what settings say of values that are wrong.
package configtest

import (
	"strings"
	"testing"

	"github.com/openclaw-security/bus/services/internal/config"
)

// Faults loads settings, a pointer to a struct, from an environment of words with
// a blank between them, and compares the fault with the one that is wanted; empty
// stands for none.
func Faults(t testing.TB, settings any, environ, want string) {
	t.Helper()
	if want != "" {
		want = "1 setting is wrong:\n  " + want
	}
	got := ""
	if err := config.Load(settings, strings.Fields(environ)); err != nil {
		got = err.Error()
	}
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
