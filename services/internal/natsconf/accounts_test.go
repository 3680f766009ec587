package natsconf_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/natsconf"
)

var update = flag.Bool("update", false, "write the golden files")

// The accounts are what stands between one role and another: a change to them
// is to be seen as such.
func TestAccounts(t *testing.T) {
	roles := bus.Roles("box1", []string{"suricata", "tracee"})
	keys := make(map[string]string)
	for _, r := range roles {
		keys[r.Name] = "U_KEY_OF_" + r.Name
	}
	got, err := natsconf.Accounts(roles, keys)
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "accounts.conf")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the accounts differ from %s (rewrite it with -update):\n%s", golden, got)
	}
}
