package cli

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/services"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/check"
	"github.com/openclaw-security/bus/services/internal/service"
	"github.com/openclaw-security/bus/services/testing/bustest"
	"github.com/openclaw-security/bus/services/testing/telegramtest"
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
	s := newSession(t, "DOCTOR_PROXY="+service.URL)
	args := []string{
		"doctor", "--server", b.URL(), "--key", key, "--open-claw", s.dir, "--json",
		"--admin", "shipper=" + addr, "--admin", addr, "--disk", s.dir,
	}
	has := func(found []check.Finding, hop, subject string, state check.State) {
		t.Helper()
		if !slices.ContainsFunc(found, func(f check.Finding) bool { return f.Hop == hop && f.Subject == subject && f.State == state }) {
			t.Errorf("no finding of %s %s that is %s: %+v", hop, subject, state, found)
		}
	}
	report := func(want int, args ...string) []check.Finding {
		t.Helper()
		code, out, errs := s.run(t.Context(), args...)
		var found []check.Finding
		if err := json.Unmarshal([]byte(out), &found); err != nil || code != want {
			t.Fatalf("exit code %d, want %d: %v\n%s%s", code, want, err, out, errs)
		}
		return found
	}
	found := report(exitOK, args...)
	has(found, "service", "shipper", check.Good)
	has(found, "service", addr, check.Good)
	has(found, "proxy", "health", check.Good)
	has(found, "telegram", "settings", check.Warning)
	has(found, "stream", "ALERTS_suricata", check.Good)
	has(found, "stream", "EVENTS_suricata", check.Good)

	service.Close()
	found = report(exitMissing, args...)
	has(found, "service", "shipper", check.Fault)
	has(found, "proxy", "health", check.Fault)

	s.environ = []string{"DOCTOR_PROXY=" + service.URL, "TELEGRAM_BOT_TOKEN=" + telegramtest.Token, "TELEGRAM_CHAT_ID=1", "TELEGRAM_API=http://127.0.0.1:1"}
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

// A sensor that a deployment leaves out is not missed, nor is its shipper.
func TestWhatIsLeftOutIsNotMissed(t *testing.T) {
	environ := []string{"TRACEE_REPLICAS=0"}
	c := doctorCommand{targetFlags: targetFlags{Server: "nats://localhost"}, Admin: []string{"security-shipper-suricata:9600", "security-shipper-tracee:9600", "security-auditor:9600"}}
	o, err := c.options(Terminal{Environ: environ}, services.All())
	if err != nil {
		t.Fatal(err)
	}
	var asked []string
	for _, s := range o.Ready {
		asked = append(asked, s.Name)
	}
	expected := service.Expected(service.Sources(services.All(), service.NewDeployment(environ)))
	if got := strings.Join(append(expected, asked...), " "); got != "suricata security-shipper-suricata:9600 security-auditor:9600" {
		t.Errorf("expects %s", got)
	}
	d := service.NewDeployment([]string{"TRACEE_REPLICAS=1", "SURICATA_REPLICAS="})
	if got := service.Expected(service.Sources(services.All(), d)); len(got) != 2 {
		t.Errorf("of two sensors, %s are in use", got)
	}
}
