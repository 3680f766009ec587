package suricata

import (
	"errors"
	"os/exec"
	"strings"
	"testing"
)

// tester plays suricata -T: it refuses rules with the word BROKEN, in the
// directory that it is told or among the local ones.
const tester = `for a; do case $a in default-rule-path=*) dir=${a#default-rule-path=} ;; esac; done
[ -e "$dir/suricata.rules" ] || exit 1
if grep -h BROKEN "$dir/suricata.rules" "$SURICATA_CONFIG/rules/openclaw.rules" >"$SANDBOX/refused"; then
  echo "E: detect: error parsing signature $(cat "$SANDBOX/refused")"
  exit 1
fi
`

// fetcher plays suricata-update: it fetches what the test has prepared.
const fetcher = `echo "fetch $*" >>"$SANDBOX/calls"
while [ $# -gt 0 ]; do [ "$1" != --output ] || out=$2; shift; done
`

func TestUpdate(t *testing.T) {
	const old, fresh = "alert old\n", "alert new\n# alert off\nalert newer\n"
	tests := []struct {
		name    string
		fetch   string // what suricata-update does; "" for none at all
		local   string
		before  string
		env     string
		after   string
		says    string
		failure bool
	}{
		{name: "good set", fetch: `printf 'alert new\n# alert off\nalert newer\n' >"$out/suricata.rules"`, before: old, after: fresh, says: "2 public rules and 1 local ones"},
		{name: "first set", fetch: `printf 'alert new\n# alert off\nalert newer\n' >"$out/suricata.rules"`, after: fresh, says: "new rules are in place"},
		{name: "broken set", fetch: `echo 'alert BROKEN' >"$out/suricata.rules"`, before: old, after: old, says: "error parsing signature alert BROKEN"},
		{name: "empty set", fetch: `echo '# alert off' >"$out/suricata.rules"`, before: old, after: old, says: "holds no rule"},
		{name: "no set", fetch: `true`, before: old, after: old, says: "holds no rule"},
		{name: "no network", fetch: `echo 'no route to host'; exit 1`, before: old, after: old, says: "no route to host"},
		{name: "no network at first", fetch: `exit 1`, says: "0 public rules and 1 local ones"},
		{name: "part of a set, then failure", fetch: `echo 'alert half' >"$out/suricata.rules"; exit 1`, before: old, after: old, says: "could not be fetched"},
		{name: "switched off", fetch: `echo 'alert new' >"$out/suricata.rules"`, env: "SURICATA_UPDATE=off", before: old, after: old, says: "SURICATA_UPDATE is off"},
		{name: "last set is refused now", fetch: `exit 1`, before: "alert BROKEN\n", after: "alert BROKEN\n", says: "the local rules load"},
		{name: "local rules are broken", fetch: `exit 1`, local: "alert BROKEN\n", before: old, after: old, says: "not even the local rules load", failure: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSandbox(t)
			s.program("suricata", tester)
			s.program("suricata-update", fetcher+tt.fetch+"\n")
			if tt.before != "" {
				s.write("rules/suricata.rules", tt.before)
			}
			if tt.local != "" {
				s.write("config/rules/openclaw.rules", tt.local)
			}
			if tt.env != "" {
				s.env = append(s.env, tt.env)
			}
			out, err := s.command(t.Context(), "update.sh").CombinedOutput()
			if (err != nil) != tt.failure {
				t.Errorf("error %v", err)
			}
			if !strings.Contains(string(out), tt.says) {
				t.Errorf("says %s\nwant %q", out, tt.says)
			}
			if got := s.read("rules/suricata.rules"); got != tt.after || !s.exists("rules/suricata.rules") {
				t.Errorf("rules are %q, want %q", got, tt.after)
			}
			if s.exists("rules/.new") {
				t.Error("the directory of the new set was left behind")
			}
		})
	}
}

// Where the container lets it, what comes from the network is read by a user who may
// write the rules. Where it does not, the rules are fetched all the same.
func TestUpdateGivesUpRoot(t *testing.T) {
	for name, allowed := range map[string]bool{"allowed": true, "refused": false} {
		t.Run(name, func(t *testing.T) {
			s := newSandbox(t)
			s.env = append(s.env, "SURICATA_USER=65533:65532")
			s.pretendRoot()
			s.program("suricata", tester)
			s.program("suricata-update", fetcher+`echo "as $(id -u)" >>"$SANDBOX/calls"; echo 'alert new' >"$out/suricata.rules"`+"\n")
			user := "0"
			if allowed {
				s.write("allowed", "")
				user = "65533"
			}
			out, err := s.command(t.Context(), "update.sh").CombinedOutput()
			if err != nil || strings.Contains(string(out), "stays root") == allowed {
				t.Errorf("%v, %s", err, out)
			}
			if s.calls("chown -R 65533:65532 "+s.path("rules")) != 1 || s.calls("as "+user) != 1 || s.read("rules/suricata.rules") != "alert new\n" {
				t.Errorf("calls are %s, rules %s", s.read("calls"), s.read("rules/suricata.rules"))
			}
			const want = "setpriv --reuid 65533 --regid 65532 --clear-groups --inh-caps -all --ambient-caps -all"
			if got := s.calls(want); (got == 2) != allowed {
				t.Errorf("%d times %q: %s", got, want, s.read("calls"))
			}
		})
	}
}

func TestUpdateGivesItsSources(t *testing.T) {
	s := newSandbox(t)
	s.program("suricata", tester)
	s.program("suricata-update", fetcher)
	s.env = append(s.env, "SURICATA_UPDATE_URLS=https://a.example/x.rules https://b.example/y.tar.gz")
	if out, err := s.command(t.Context(), "update.sh").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	calls := s.read("calls")
	for _, want := range []string{" --fail ", " --url https://a.example/x.rules --url https://b.example/y.tar.gz"} {
		if !strings.Contains(calls, want) {
			t.Errorf("calls %s\nwant %q", calls, want)
		}
	}
}

// TestUpdateKilled kills the script in the middle of a fetch, and then lets the
// next one run to its end.
func TestUpdateKilled(t *testing.T) {
	s := newSandbox(t)
	s.program("suricata", tester)
	s.write("rules/suricata.rules", "alert old\n")
	// timeout stands between the script and this program.
	s.program("timeout", "shift\nKILL=$PPID exec env KILL=$PPID \"$@\"\n")
	s.program("suricata-update", fetcher+`echo 'alert half' >"$out/suricata.rules"; kill -KILL "$KILL"`+"\n")
	var exit *exec.ExitError
	if out, err := s.command(t.Context(), "update.sh").CombinedOutput(); !errors.As(err, &exit) {
		t.Fatalf("it survived: %v\n%s", err, out)
	}
	if got := s.read("rules/suricata.rules"); got != "alert old\n" {
		t.Errorf("rules are %q after the kill", got)
	}
	s.program("suricata-update", fetcher+`[ -e "$out/suricata.rules" ] && exit 1; echo 'alert new' >"$out/suricata.rules"`+"\n")
	if out, err := s.command(t.Context(), "update.sh").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got := s.read("rules/suricata.rules"); got != "alert new\n" {
		t.Errorf("rules are %q after the next run", got)
	}
}

// TestUpdateBringsDatasets checks that the files that rules refer to are there
// before the rules are.
func TestUpdateBringsDatasets(t *testing.T) {
	s := newSandbox(t)
	s.program("suricata", tester)
	s.program("suricata-update", fetcher+`mkdir "$out/datasets"; echo abc >"$out/datasets/d1"; echo 'alert new' >"$out/suricata.rules"`+"\n")
	if out, err := s.command(t.Context(), "update.sh").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got := s.read("rules/datasets/d1"); got != "abc\n" {
		t.Errorf("dataset is %q", got)
	}
}
