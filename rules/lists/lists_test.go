package lists_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/rules/lists"
)

// containerHomes are the home directories in which OpenClaw's images, and a PaaS,
// have its state.
var containerHomes = []string{"/home/node", "/root", "/data"}

func load(t *testing.T) (lists.Paths, []string) {
	t.Helper()
	paths, err := lists.LoadPaths()
	if err != nil {
		t.Fatal(err)
	}
	hosts, err := lists.LoadProviders()
	if err != nil {
		t.Fatal(err)
	}
	return paths, hosts
}

func TestHostPattern(t *testing.T) {
	_, hosts := load(t)
	if hosts[0] != "chatgpt.com" {
		t.Errorf("the commonest bypass is not first: %s", hosts[0])
	}
	pattern := regexp.MustCompile(lists.HostPattern(hosts))
	for _, test := range []struct {
		host string
		want bool
	}{
		{"chatgpt.com", true},
		{"api.githubcopilot.com", true},
		{"api.business.githubcopilot.com", true},
		{"eu.api.openai.com", true},
		{"europe-west1-aiplatform.googleapis.com", true},
		{"bedrock-runtime.us-east-1.amazonaws.com", true},
		{"bedrock-mantle.us-east-1.api.aws", true},
		{"mine.services.ai.azure.com", true},
		{"dashscope.aliyuncs.com", true},
		{"dashscope-intl.aliyuncs.com", true},
		{"ark.cn-beijing.volces.com", true},
		{"api.minimax.io", true},
		{"api.kimi.com", true},
		{"open.bigmodel.cn", true},
		{"gateway.ai.cloudflare.com", true},
		{"notchatgpt.com", false},
		{"chatgpt.com.example", false},
		{"api-anthropic.com", false},
		{"xapi.anthropic.com", false},
		{"oss-cn-beijing.aliyuncs.com", false},
		{"www.cloudflare.com", false},
		{"storage.googleapis.com", false},
		{"s3.us-east-1.amazonaws.com", false},
		{"huggingface.co", false},
	} {
		if got := pattern.MatchString(test.host); got != test.want {
			t.Errorf("%s is a provider: %v, want %v", test.host, got, test.want)
		}
	}
}

// TestTraceeFilters: a pattern has its asterisk at one end, and no value of a filter
// holds what Tracee takes for the end of it.
func TestTraceeFilters(t *testing.T) {
	paths, _ := load(t)
	filters := paths.TraceeFilters(containerHomes, lists.Config, lists.Secrets, lists.Keys, lists.Owner, lists.Memory, lists.Skills)
	for _, filter := range filters {
		inner := strings.TrimSuffix(filter, "*")
		if inner == filter {
			inner = strings.TrimPrefix(filter, "*")
		}
		if strings.ContainsAny(inner, "*,=!") || len(inner) < 4 || len(filter) > 255 {
			t.Errorf("Tracee cannot match %s", filter)
		}
	}
	for _, want := range []string{
		"*/.openclaw/openclaw.json", "*/.clawdbot/clawdbot.json", "*/.openclaw/.env", "*/.openclaw/secrets.json",
		"/home/node/.openclaw/credentials/*", "/home/node/.openclaw/state/openclaw.sqlite*", "*/.openclaw/state/openclaw.sqlite-wal",
		"/home/node/.openclaw/agents/*", "*/agent/openclaw-agent.sqlite", "/home/node/.openclaw/identity/*", "/home/node/.config/openclaw/*",
		"/root/.ssh/*", "*/.ssh/id_ed25519", "*/.aws/credentials", "/etc/shadow", "*/environ", "*/SOUL.md", "*/AGENTS.md",
		"/home/node/.openclaw/skills/*", "/home/node/.openclaw/workspace/skills/*", "/workspace/skills/*", "*/SKILL.md",
	} {
		if !slices.Contains(filters, want) {
			t.Errorf("no filter %s", want)
		}
	}
}

func TestCommandPattern(t *testing.T) {
	paths, _ := load(t)
	pattern := regexp.MustCompile(paths.CommandPattern(lists.OwnSecrets...))
	keywords := paths.CommandKeywords(lists.OwnSecrets...)
	for _, test := range []struct {
		command string
		want    bool
	}{
		{"cat ~/.openclaw/openclaw.json", true},
		{"cp /home/node/.openclaw/state/openclaw.sqlite-wal /tmp/x", true},
		{"sqlite3 openclaw-agent.sqlite 'select * from x'", true},
		{"sqlite3 x.db 'select value from auth_profile_store'", true},
		{"base64 ~/.openclaw/secrets.json", true},
		{"tar c ~/.config/openclaw/", true},
		{"cat ~/.openclaw/identity/device.json", true},
		{"cat ~/.openclaw/.env", true},
		{"cat ~/.openclaw-work/.env", true},
		{"cat ~/.moltbot/credentials/oauth.json", true},
		{"ls ~/.openclaw/agents/*/agent/", true},
		{"cat ~/.openclaw/workspace/notes.txt", false},
		{"ls ~/.openclaw/agents/main/sessions", false},
		{"cat ~/.openclaw/state/other.txt", false},
		{"openclaw status", false},
		{"vim docs/openclaw.md", false},
	} {
		if got := pattern.MatchString(test.command); got != test.want {
			t.Errorf("%s names a secret: %v, want %v", test.command, got, test.want)
		}
		if test.want && !slices.ContainsFunc(keywords, func(word string) bool { return strings.Contains(test.command, word) }) {
			t.Errorf("%s has none of the keywords %q", test.command, keywords)
		}
	}
}

func TestWithStateDir(t *testing.T) {
	paths, _ := load(t)
	condition := paths.Condition(append(lists.Instructions, lists.OwnSecrets...)...)
	if got := string(lists.WithStateDir([]byte(condition), "")); got != condition {
		t.Errorf("without a directory: %s", got)
	}
	first := regexp.MustCompile("`(.*?)`").FindStringSubmatch(string(lists.WithStateDir([]byte(condition), "/srv/claw.d")))
	pattern := regexp.MustCompile(first[1])
	for path, want := range map[string]bool{
		"/srv/claw.d/openclaw.json": true, "/home/me/.openclaw/openclaw.json": true,
		"/srv/clawxd/openclaw.json": false, "/x/srv/claw.d/openclaw.json": false,
	} {
		if pattern.MatchString(path) != want {
			t.Errorf("%s: want %v of %s", path, want, pattern)
		}
	}
}

// TestEveryKindIsUsed: a path of an unknown kind would be in no rule.
func TestEveryKindIsUsed(t *testing.T) {
	paths, _ := load(t)
	known := append(append([]lists.Kind{lists.Owner}, lists.OwnSecrets...), lists.Instructions...)
	for _, one := range paths.Paths {
		if !slices.Contains(known, one.Kind) || one.What == "" {
			t.Errorf("%s: kind %q, %q", one.Path, one.Kind, one.What)
		}
	}
}
