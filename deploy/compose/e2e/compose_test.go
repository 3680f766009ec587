package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/openclaw-security/bus/proto"
)

// imageIsHere reports whether an image need not be pulled.
func imageIsHere(ctx context.Context, image string) bool {
	_, err := docker.ImageInspect(ctx, image)
	return err == nil
}

// The shipped compose file with a real Suricata: what the agent sends over its
// network is a message on the phone.
func TestComposeFromPacketToTelegram(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte(botToken), 0o644); err != nil {
		t.Fatal(err)
	}
	p := newProject(t, 5*time.Minute, map[string]string{
		"SURICATA_UPDATE":         "off",
		"TELEGRAM_API":            "http://fake-telegram:8081",
		"TELEGRAM_BOT_TOKEN_FILE": token,
		"TELEGRAM_CHAT_ID":        chatA,
		"LLM_API_BASE":            "http://fake-llm:8082",
		"LLM_API_KEY":             llmKey,
	}, "fakes")
	const suricata = "jasonish/suricata:8.0"
	if !imageIsHere(p.ctx, suricata) {
		t.Skipf("the image %s is not here: the test with a real Suricata is left out", suricata)
	}
	begun := time.Now()
	p.compose("up", "-d", "--no-build", "--quiet-pull")
	live := p.tail()
	p.awaitHealthy("security-nats", "security-suricata", "security-shipper-suricata", "security-shipper-tracee", "security-llm-proxy", "security-notifier", "security-auditor")
	t.Logf("all are healthy after %.0f s", time.Since(begun).Seconds())

	agent := &agent{url: "http://" + p.proxy, client: http.Client{Timeout: 20 * time.Second}}
	if got, err := agent.ask(p.ctx, "#say Hello."); err != nil || got.status != http.StatusOK {
		t.Errorf("the agent's request gets %+v, %v", got, err)
	}
	const message = "output of the id command over plaintext TCP"
	await(p.ctx, t, "Suricata to capture", func() (bool, string) {
		out := p.compose("logs", "--no-color", "security-suricata")
		return strings.Contains(out, "Engine started"), out
	})
	p.compose("--profile", "agent", "up", "-d", "--no-build", "--no-deps", "intruder", "agent")
	await(p.ctx, t, "the alert in the chat", func() (bool, string) {
		all := received(p.ctx, t, p.telegram, chatA)
		for _, m := range all {
			if strings.Contains(m.Text, message) {
				return true, ""
			}
		}
		return false, fmt.Sprint(all)
	})
	t.Logf("the alert is in the chat after %.0f s", time.Since(begun).Seconds())
	if running := p.compose("--profile", "agent", "ps", "--services", "--status", "running"); !strings.Contains(running, "agent") || !strings.Contains(running, "intruder") {
		t.Errorf("the shell was to stay open until it is seen; there run %q", running)
	}
	stored := p.awaitStored(live, "security.alert.openclaw.suricata.alert.critical", message)
	var event proto.Event
	if err := json.Unmarshal(stored.Data, &event); err != nil {
		t.Fatal(err)
	}
	containers := strings.Fields(p.compose("ps", "--all", "--quiet"))
	inspected, err := exec.CommandContext(p.ctx, "docker", append([]string{"inspect"}, containers...)...).Output()
	if err != nil || strings.Contains(string(inspected), botToken) {
		t.Errorf("the bot's token is in a container's settings, or %v", err)
	}
	// Who reads the agent's packets may capture, and is not root.
	const captures = 1<<12 | 1<<13 | 1<<23 // CAP_NET_ADMIN, CAP_NET_RAW, CAP_SYS_NICE
	status := p.compose("exec", "-T", "security-suricata", "sh", "-c", "for p in /proc/[0-9]*; do if grep -q Suricata $p/comm || [ $p = /proc/1 ]; then grep -E '^(Name|Uid|CapEff)' $p/status; fi; done")
	const one = "Name:\t%s\nUid:\t65533\t65533\t65533\t65533\nCapEff:\t%016x\n"
	if want := fmt.Sprintf(one, "sh", captures) + fmt.Sprintf(one, "Suricata-Main", captures); status != want {
		t.Errorf("processes of Suricata: %q, want %q", status, want)
	}
	said, err := strconv.ParseFloat(strings.TrimSpace(p.compose("--profile", "agent", "logs", "--no-log-prefix", "agent")), 64)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the alert is of %.3f s after the shell spoke", float64(event.Time.UnixMicro())/1e6-said)
}

// Without any setting, alerts are printed and the proxy says what it lacks.
func TestComposeWithoutSettings(t *testing.T) {
	p := newProject(t, 4*time.Minute, nil, "recording")
	begun := time.Now()
	p.compose("up", "-d", "--wait", "--no-build", "fake-suricata", "security-tracee",
		"security-shipper-suricata", "security-shipper-tracee", "security-llm-proxy", "security-notifier", "security-auditor")
	t.Logf("all are healthy after %.0f s", time.Since(begun).Seconds())
	await(p.ctx, t, "an alert in the notifier's output", func() (bool, string) {
		out := p.compose("logs", "--no-color", "security-notifier")
		return strings.Contains(out, "OPENCLAW"), out
	})
	request, err := http.NewRequestWithContext(p.ctx, http.MethodPost, "http://"+p.proxy+"/v1/messages", strings.NewReader(`{"model":"claude-sonnet-4-5"}`))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the proxy answers %s: %s", response.Status, text)
	if response.StatusCode < 400 || !strings.Contains(string(text), "LLM_API_KEY") {
		t.Error("the proxy does not say that LLM_API_KEY is missing")
	}
}

// The shipped cluster file over the compose file: three servers find each other,
// and each stream is on all of them.
func TestComposeCluster(t *testing.T) {
	p := newProject(t, 4*time.Minute, nil)
	p.files = p.clustered()
	begun := time.Now()
	p.compose("up", "-d", "--wait", "--no-build", "security-llm-proxy", "security-notifier", "security-auditor")
	t.Logf("all are healthy after %.0f s", time.Since(begun).Seconds())
	nc := p.connect("operator")
	for _, name := range streams() {
		info, err := askStream(nc, name)
		if err != nil || info.Config.Replicas != 3 {
			t.Errorf("stream %s has %d replicas: %v", name, info.Config.Replicas, err)
		}
	}
}

// From one server to the cluster and back: what the single server had stored is
// there, after its next start too.
func TestComposeClusterAndBack(t *testing.T) {
	p := newProject(t, 6*time.Minute, nil)
	first := func(nc *nats.Conn) (at time.Time) {
		await(p.ctx, t, "a message of the sensor", func() (bool, string) {
			info, err := askStream(nc, proto.EventsStream("tracee"))
			at = info.State.First
			return err == nil && info.State.Messages > 0, fmt.Sprint(err)
		})
		return at
	}
	start := func() *nats.Conn {
		p.compose("up", "-d", "--wait", "--no-build", "--remove-orphans", "security-tracee", "security-shipper-tracee")
		return p.connect("operator")
	}
	before := first(start())
	p.files = p.clustered()
	if at := first(start()); !at.After(before) {
		t.Errorf("the cluster's first message is of %s, that of the single server of %s", at, before)
	}
	p.files = p.single()
	if at := first(start()); !at.Equal(before) {
		t.Errorf("after the cluster the first message is of %s, before it was of %s", at, before)
	}
	p.compose("restart", "security-nats")
	p.awaitHealthy("security-nats")
	if at := first(p.connect("operator")); !at.Equal(before) {
		t.Errorf("after a restart the first message is of %s, before it was of %s", at, before)
	}
}
