package services_test

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/openclaw-security/bus/services"
	"github.com/openclaw-security/bus/services/internal/natsconf"
	"github.com/openclaw-security/bus/services/internal/service"
	"github.com/openclaw-security/bus/services/testing/golden"
)

//go:generate go test . -run ^TestRoles -update

// TestRoles: what each role may do, and the accounts that enforce it, are what
// stands between one role and another: a change to them is to be seen as such.
func TestRoles(t *testing.T) {
	layout, err := services.Layout(service.Deployment{Host: "box1"})
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "\t")
	if err := enc.Encode(layout); err != nil {
		t.Fatal(err)
	}
	golden.Compare(t, filepath.Join("testing", "bustest", "layout.json"), text.Bytes())

	keys := make(map[string]string)
	for _, r := range layout.Roles {
		keys[r.Name] = "U_KEY_OF_" + r.Name
	}
	accounts, err := natsconf.Accounts(layout.Roles, keys)
	if err != nil {
		t.Fatal(err)
	}
	golden.Compare(t, filepath.Join("testdata", "accounts.conf"), []byte(accounts))
}
