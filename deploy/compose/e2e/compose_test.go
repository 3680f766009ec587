package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

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
	p := newProject(t, 5*time.Minute, map[string]string{
		"SURICATA_UPDATE":    "off",
		"TELEGRAM_API":       "http://fake-telegram:8081",
		"TELEGRAM_BOT_TOKEN": botToken,
		"TELEGRAM_CHAT_ID":   chatA,
		"LLM_API_BASE":       "http://fake-llm:8082",
		"LLM_API_KEY":        llmKey,
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
	await(p.ctx, t, "the alert in the chat", func() (bool, string) {
		p.compose("run", "--rm", "--no-deps", "-T", "agent")
		all := received(p.ctx, t, p.telegram, chatA)
		for _, m := range all {
			if strings.Contains(m.Text, message) {
				return true, ""
			}
		}
		return false, fmt.Sprint(all)
	})
	t.Logf("the alert is in the chat after %.0f s", time.Since(begun).Seconds())
	p.awaitStored(live, "security.alert.openclaw.suricata.alert.critical", message)
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
	p.files = []string{inRoot("compose.yaml"), inRoot("deploy/compose/cluster.yaml"), override, "testdata/compose.cluster.test.yaml"}
	begun := time.Now()
	p.compose("up", "-d", "--wait", "--no-build", "security-llm-proxy", "security-notifier", "security-auditor")
	t.Logf("all are healthy after %.0f s", time.Since(begun).Seconds())
	nc := p.connect("operator")
	for _, s := range proto.Streams() {
		info, err := askStream(nc, s.Name)
		if err != nil || info.Config.Replicas != 3 {
			t.Errorf("stream %s has %d replicas: %v", s.Name, info.Config.Replicas, err)
		}
	}
}
