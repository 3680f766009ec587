package services_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services"
	"github.com/openclaw-security/bus/services/internal/bus"
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

// TestSubjectsAreBounded: how many subjects each role can create in each stream. The
// server holds every one in memory.
func TestSubjectsAreBounded(t *testing.T) {
	const most = 700
	layout, err := services.Layout(service.Deployment{Host: "box1", Environ: []string{
		"SECBUS_SOURCES=sshd", "TELEGRAM_BOT_TOKEN=123456789:AAExampleExampleExampleExampleExamp", "TELEGRAM_CHAT_ID=42", "WEBHOOK_URL=https://hooks.example/x",
	}})
	if err != nil {
		t.Fatal(err)
	}
	streams := slices.Concat(layout.Streams, proto.Streams())
	for _, role := range layout.Roles {
		if role.Name == bus.RoleProvisioner {
			continue // decides what is stored in any case
		}
		subjects := make(map[string]int)
		for _, pattern := range role.Publish {
			for _, stream := range streams {
				if !slices.ContainsFunc(stream.Subjects, func(bound string) bool { return overlap(bound, pattern) }) {
					continue
				}
				subjects[stream.Name]++
				if strings.ContainsAny(pattern, "*>") && stream.MaxMsgs == 0 {
					t.Errorf("%s can create subjects of %s without end: %s", role.Name, stream.Name, pattern)
				}
			}
		}
		for _, stream := range slices.Sorted(maps.Keys(subjects)) {
			t.Logf("%s: %d of %s", role.Name, subjects[stream], stream)
			if subjects[stream] > most {
				t.Errorf("%s can create %d subjects of %s", role.Name, subjects[stream], stream)
			}
		}
	}
}

// overlap reports whether a subject matches both patterns.
func overlap(a, b string) bool {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(as), len(bs)) {
		switch {
		case as[i] == ">" || bs[i] == ">":
			return true
		case as[i] != "*" && bs[i] != "*" && as[i] != bs[i]:
			return false
		}
	}
	return len(as) == len(bs)
}
