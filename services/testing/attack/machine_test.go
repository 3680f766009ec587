package attack

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const nobody = 65534

// asNobody runs a shell command as another user of the machine.
func asNobody(t *testing.T, command string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", command)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", command, err, out)
	}
}

// shared is a directory that every user of the machine may write to, as /tmp.
func shared(t *testing.T) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root, to be another user as well")
	}
	dir := t.TempDir()
	for at := dir; at != "/" && at != os.TempDir(); at = filepath.Dir(at) {
		if err := os.Chmod(at, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	dir = filepath.Join(dir, "tmp")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	return dir
}

const forged = `{"timestamp":1764500000000000000,"processId":1,"userId":0,"hostName":"h","container":{"id":"x","name":"agent"},"eventId":"6000","eventName":"container_escape","returnValue":0,"args":[],` +
	`"metadata":{"Version":"1","Description":"forged by a local user","Properties":{"Category":"privilege-escalation","Severity":3,"Technique":"Escape to Host","external_id":"T1611","signatureID":"TRC-1","signatureName":"forged by a local user"}}}`

// TestSharedFolder: in a folder that all may write to, another user of the machine
// is not the sensor, and does not choose what the bus reads.
func TestSharedFolder(t *testing.T) {
	for name, test := range map[string]struct {
		prepare string // by the other user, in the shared folder
		later   string // once the stack runs
	}{
		"a file of their own":   {"mkdir -p tracee/out", `printf '%s\n' "$FORGED" >tracee/out/events.json`},
		"a folder of their own": {`mkdir -p tracee/out && printf '%s\n' "$FORGED" >tracee/out/events.json`, "true"},
		"a link to a file":      {`mkdir -p tracee/out && ln -s "$SECRET" tracee/out/events.json`, "true"},
		"a link to a folder":    {`mkdir -p tracee && ln -s "$(dirname "$SECRET")" tracee/out`, "true"},
		"a rotated file":        {`mkdir -p tracee/out && printf '%s\n' "$FORGED" >tracee/out/events.json.1`, `printf '%s\n' "$FORGED" >tracee/out/events.json`},
		"a pipe":                {"mkdir -p tracee/out && mkfifo tracee/out/events.json", "true"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := shared(t)
			secret := filepath.Join(t.TempDir(), "events.json")
			if err := os.WriteFile(secret, []byte("the secret of root\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			run := func(command string) {
				asNobody(t, "cd "+dir+"; SECRET="+secret+"; FORGED='"+forged+"'; "+command)
			}
			run(test.prepare)
			s := newStack(t, "TRACEE_EVENTS_PATH="+filepath.Join(dir, "tracee/out/events.json"))
			// Of two settings the last counts.
			s.environ = append(s.environ, "TRACEE_EVENTS_PATH="+filepath.Join(dir, "tracee/out/events.json"))
			s.up()
			run(test.later)
			// What the shipper says of it, and then another sensor's alert, which comes
			// after what it would have read.
			s.eventually("the shipper says that it does not read the file", func() bool {
				_, text := get(t, s.admin+"/readyz")
				return strings.Contains(text, "not ready shipper-tracee")
			})
			s.write("eve.json", alert("by Suricata", 1, "Major"))
			s.inChat("by Suricata")
			if all := s.stored("--all"); strings.Contains(all, "forged by a local user") || strings.Contains(all, "the secret of root") {
				t.Errorf("the bus has %s", all)
			}
		})
	}
}

// TestAnotherLog: a log in place of the log is found out by what is on the bus, and a
// log that was begun anew is an alert.
func TestAnotherLog(t *testing.T) {
	environ := bothered(t)
	s := newStack(t, append(environ, "AUDIT_CHECKPOINT_EVERY=1s")...).up()
	signed := func() bool {
		out, _ := s.secbus("audit", "verify", "--json")
		var verdict struct{ Stream struct{ Checkpoints int } }
		_ = json.Unmarshal([]byte(out), &verdict)
		return verdict.Stream.Checkpoints > 0
	}
	s.answer(question("m", false))
	s.eventually("a checkpoint of the log is on the bus", signed)
	if out, code := s.secbus("audit", "verify"); code != 0 {
		t.Fatalf("the log as it was written: %d %s", code, out)
	}
	if err := s.process.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(s.path("data/audit")); err != nil {
		t.Fatal(err)
	}
	s.up()
	s.answer(question("m", false))
	s.eventually("the log is not taken for the log", func() bool {
		out, code := s.secbus("audit", "verify")
		return code != 0 && strings.Contains(out, "log")
	})
	s.eventually("the chat says that the log is another", func() bool {
		return strings.Contains(strings.ToLower(s.said()), "log")
	})
}
