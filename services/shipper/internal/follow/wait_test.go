package follow

import (
	"os"
	"strings"
	"syscall"
	"testing"
)

func TestWaiting(t *testing.T) {
	r := newRig(t, Config{Path: "log/eve.json"})
	waiting := func(want string) {
		t.Helper()
		r.expect()
		if got := r.f.Stats().Waiting; !strings.HasPrefix(got, want) || (want == "") != (got == "") {
			t.Errorf("waiting: %q, want %q", got, want)
		}
	}
	waiting(r.path("log") + " does not exist yet")
	if err := os.Mkdir(r.path("log"), 0o700); err != nil {
		t.Fatal(err)
	}
	waiting(r.path("log/eve.json") + " does not exist yet")
	if err := syscall.Mkfifo(r.path("log/eve.json"), 0o600); err != nil {
		t.Fatal(err)
	}
	waiting("reading " + r.path("log/eve.json") + ": it is not a regular file")
	r.remove("log/eve.json")
	r.write("log/eve.json", "")
	waiting("")
	r.write("log/eve.json", lines("a1"))
	r.expect("a1")
	waiting("")
	r.rename("log", "gone")
	waiting(r.path("log") + " does not exist yet")
	r.rename("gone", "log")
	r.write("log/eve.json", lines("a2"))
	r.expect("a2")
	waiting("")
	r.expectResumes()
}

func TestUnreadable(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root reads everything")
	}
	r := newRig(t, Config{})
	r.write("eve.json", lines("a1"))
	if err := os.Chmod(r.path("eve.json"), 0); err != nil {
		t.Fatal(err)
	}
	r.expect()
	if got, want := r.f.Stats().Waiting, "permission denied reading "+r.path("eve.json"); got != want {
		t.Errorf("waiting: %q, want %q", got, want)
	}
	if err := os.Chmod(r.path("eve.json"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.expect("a1")
}
