package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/bustest"
	"github.com/openclaw-security/bus/services/internal/telegramtest"
	"github.com/openclaw-security/bus/services/secbus/internal/doctor"
)

// TestDoctorOnAServer looks at a server that is not the embedded one, as a
// container would, and at services that are named.
func TestDoctorOnAServer(t *testing.T) {
	b := bustest.Start(t)
	key := filepath.Join(t.TempDir(), "operator.nk")
	if err := os.WriteFile(key, []byte(b.Seed(t, bus.RoleOperator)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"ready":true,"conditions":[],"status":"healthy","guard_enabled":false,"llm_api_base":"https://api.example"}`))
	}))
	defer service.Close()
	addr := strings.TrimPrefix(service.URL, "http://")
	s := newSession(t)
	args := []string{
		"doctor", "--server", b.URL(), "--key", key, "--open-claw", s.dir, "--json",
		"--admin", "shipper=" + addr, "--admin", addr, "--proxy", service.URL, "--disk", s.dir,
	}
	has := func(found []doctor.Finding, hop, subject string, state doctor.State) {
		t.Helper()
		if !slices.ContainsFunc(found, func(f doctor.Finding) bool { return f.Hop == hop && f.Subject == subject && f.State == state }) {
			t.Errorf("no finding of %s %s that is %s: %+v", hop, subject, state, found)
		}
	}
	report := func(want int, args ...string) []doctor.Finding {
		t.Helper()
		code, out, errs := s.run(t.Context(), args...)
		var found []doctor.Finding
		if err := json.Unmarshal([]byte(out), &found); err != nil || code != want {
			t.Fatalf("exit code %d, want %d: %v\n%s%s", code, want, err, out, errs)
		}
		return found
	}
	found := report(exitOK, args...)
	has(found, "service", "shipper", doctor.Good)
	has(found, "service", addr, doctor.Good)
	has(found, "proxy", "health", doctor.Good)
	has(found, "telegram", "settings", doctor.Warning)
	has(found, "stream", "SECURITY", doctor.Good)

	service.Close()
	found = report(exitMissing, args...)
	has(found, "service", "shipper", doctor.Fault)
	has(found, "proxy", "health", doctor.Fault)

	s.environ = []string{"TELEGRAM_BOT_TOKEN=" + telegramtest.Token, "TELEGRAM_CHAT_ID=1", "TELEGRAM_API=http://127.0.0.1:1"}
	code, out, errs := s.run(t.Context(), args...)
	if code != exitMissing || !strings.Contains(out, `"hop": "telegram-1"`) {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
	if strings.Contains(out+errs, telegramtest.Token) || strings.Contains(out+errs, b.Seed(t, bus.RoleOperator)) {
		t.Error("a secret is shown")
	}
}

// TestDoctorWithoutABus still looks at what does not need one.
func TestDoctorWithoutABus(t *testing.T) {
	s := newSession(t, "ADMIN_ADDR=", "PROXY_ADDR=", "PROXY_AUDIT_DIR=x")
	code, out, errs := s.run(t.Context(), "doctor", "--data", s.dir, "--open-claw", s.dir)
	for _, want := range []string{"fault", "start one with `secbus up`", "free of", "TELEGRAM_BOT_TOKEN"} {
		if code != exitMissing || !strings.Contains(out, want) {
			t.Errorf("exit code %d, want %d with %q\n%s%s", code, exitMissing, want, out, errs)
		}
	}
	s.environ = append(s.environ, "ALERT_MIN_SEVERITY=hi")
	if code, _, errs := s.run(t.Context(), "doctor", "--data", s.dir); code != exitUsage || !strings.Contains(errs, "ALERT_MIN_SEVERITY") {
		t.Errorf("exit code %d\n%s", code, errs)
	}
}

func TestEndpointAt(t *testing.T) {
	for _, test := range []struct {
		name, value string
		want        doctor.Endpoint
		fails       bool
	}{
		{"an address", "box:9600", doctor.Endpoint{Name: "box:9600", URL: "http://box:9600"}, false},
		{"a name", "shipper=box:9600", doctor.Endpoint{Name: "shipper", URL: "http://box:9600"}, false},
		{"a URL", "https://box/", doctor.Endpoint{Name: "box", URL: "https://box"}, false},
		{"nothing", "", doctor.Endpoint{}, true},
		{"another scheme", "x=ftp://box", doctor.Endpoint{}, true},
		{"a password", "http://me:pass@box", doctor.Endpoint{}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := endpointAt("--admin", test.value)
			if got != test.want || (err != nil) != test.fails {
				t.Errorf("%+v, %v", got, err)
			}
			if err != nil && strings.Contains(err.Error(), "pass") && !strings.Contains(err.Error(), "password") {
				t.Errorf("a password is shown: %v", err)
			}
		})
	}
}

func TestAssumed(t *testing.T) {
	for addr, want := range map[string]string{
		"127.0.0.1:9600": "http://127.0.0.1:9600",
		"0.0.0.0:9600":   "http://127.0.0.1:9600",
		":9600":          "http://127.0.0.1:9600",
		"[::1]:9600":     "http://[::1]:9600",
		"127.0.0.1:0":    "",
		"":               "",
	} {
		var got string
		if at := assumed("x", addr); len(at) > 0 {
			got = at[0].URL
		}
		if got != want {
			t.Errorf("%q: %q, want %q", addr, got, want)
		}
	}
}

// A sensor that a deployment leaves out is not missed, nor is its shipper.
func TestWhatIsLeftOutIsNotMissed(t *testing.T) {
	environ := []string{"TRACEE_REPLICAS=0"}
	c := doctorCommand{targetFlags: targetFlags{Server: "nats://localhost"}, Admin: []string{"security-shipper-suricata:9600", "security-shipper-tracee:9600", "security-auditor:9600"}}
	o, err := c.options(terminal{environ: environ})
	if err != nil {
		t.Fatal(err)
	}
	var asked []string
	for _, s := range o.Services {
		asked = append(asked, s.Name)
	}
	if got := strings.Join(append(o.Sources, asked...), " "); got != "suricata security-shipper-suricata:9600 security-auditor:9600" {
		t.Errorf("expects %s", got)
	}
	if got := sensorsInUse([]string{"TRACEE_REPLICAS=1", "SURICATA_REPLICAS="}); len(got) != 2 {
		t.Errorf("of two sensors, %s are in use", got)
	}
}
