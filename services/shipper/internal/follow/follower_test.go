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

// What another user may have written is not read, whether it was there first, took
// the place of the sensor's file or looks like a rotated one.
func TestAnotherUsersFile(t *testing.T) {
	r := newRig(t, Config{})
	expose := func(name string) {
		t.Helper()
		if err := os.Chmod(r.path(name), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	refused := func(want string) {
		t.Helper()
		if got := r.f.Stats().Waiting; !strings.Contains(got, want) || !strings.Contains(got, "another user") {
			t.Errorf("waiting: %q, want %q refused", got, want)
		}
	}
	r.write("eve.json", "")
	expose("eve.json")
	r.expect()
	refused("eve.json")
	r.write("eve.json", lines("forged"))
	r.expect()
	refused("eve.json")

	r.remove("eve.json")
	r.write("eve.json", lines("a1"))
	r.expect("a1")
	if got := r.f.Stats().Waiting; got != "" {
		t.Errorf("waiting: %q", got)
	}
	r.rename("eve.json", "eve.json.1")
	r.write("eve.json", lines("forged"))
	expose("eve.json")
	r.write("eve.json.1", lines("a2"))
	r.expect("a2")
	refused("eve.json")

	r.remove("eve.json")
	r.write("eve.json", lines("b1"))
	r.write("eve.json.2", lines("forged"))
	expose("eve.json.2")
	r.expect("b1")
	refused("eve.json.2")
	r.remove("eve.json.2")
	r.expectResumes()
}

func TestConfigFaults(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  Config
		want []string
	}{
		"no path":          {Config{}, []string{"Path: is required"}},
		"a directory":      {Config{Path: "/var/log/"}, []string{"is a directory"}},
		"a bad pattern":    {Config{Path: "/var/log/eve.[.json"}, []string{"Path: ", "syntax error"}},
		"a wild directory": {Config{Path: "/var/*/eve.json"}, []string{"in the last element only"}},
		"several": {
			Config{Path: "x", Start: 7, MaxLine: 100, MaxBatchBytes: -1, PollInterval: -1, Grace: -1},
			[]string{"Start: 7", "MaxLine: 100", "MaxBatchBytes: ", "PollInterval: ", "Grace: "},
		},
		"a malformed position": {
			Config{Path: "x", From: Checkpoint{Positions: []Position{{Generation: "x"}}}},
			[]string{"From: "},
		},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := Open(c.cfg)
			if err == nil {
				f.Close()
				t.Fatal("it was accepted")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
		})
	}
}
