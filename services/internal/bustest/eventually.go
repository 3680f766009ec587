package bustest

import (
	"testing"
	"time"
)

// Eventually waits until holds returns true, and fails the test if it does not
// within half a minute.
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(timeout)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("still not after %s: %s", timeout, what)
		}
		time.Sleep(5 * time.Millisecond) // between looks; the deadline decides
	}
}
