package tracee

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/openclaw-security/bus/rules"
)

// signatures are the detections that Tracee 0.24.1 comes with.
var signatures = []string{
	"anti_debugging", "aslr_inspection", "cgroup_notify_on_release", "cgroup_release_agent", "core_pattern_modification",
	"default_loader_mod", "disk_mount", "docker_abuse", "dropped_executable", "dynamic_code_loading", "fileless_execution",
	"hidden_file_created", "illegitimate_shell", "k8s_api_connection", "k8s_cert_theft", "kernel_module_loading", "ld_preload",
	"proc_fops_hooking", "proc_kcore_read", "proc_mem_access", "proc_mem_code_injection", "process_vm_write_inject",
	"ptrace_code_injection", "rcd_modification", "sched_debug_recon", "scheduled_task_mod", "stdio_over_socket",
	"sudoers_modification", "syscall_hooking", "system_request_key_mod",
}

// telemetry are other events of Tracee 0.24.1 that the policy may name.
var telemetry = []string{
	"bpf", "container_create", "container_remove", "mount", "net_packet_dns_request", "sched_process_exec",
	"security_file_open", "security_inode_rename", "setns", "unshare",
}

// forbidden are events that must stay off, and why.
var forbidden = map[string]string{
	"illegitimate_shell": "agents start shells",
	"net_packet_ipv4":    "every packet would be a record",
	"open":               "every open would be a record",
	"openat":             "every open would be a record",
}

type policy struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
	Metadata   struct {
		Name        string            `yaml:"name"`
		Annotations map[string]string `yaml:"annotations"`
	} `yaml:"metadata"`
	Spec struct {
		Scope          []string `yaml:"scope"`
		DefaultActions []string `yaml:"defaultActions"`
		Rules          []struct {
			Event   string   `yaml:"event"`
			Filters []string `yaml:"filters"`
		} `yaml:"rules"`
	} `yaml:"spec"`
}

func loadPolicy(t *testing.T, elements ...string) policy {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(elements...))
	if err != nil {
		t.Fatal(err)
	}
	var p policy
	if err := yaml.UnmarshalWithOptions(text, &p, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	return p
}

// filters returns an event's filters, and whether the policy has the event.
func (p policy) filters(event string) ([]string, bool) {
	for _, r := range p.Spec.Rules {
		if r.Event == event {
			return r.Filters, true
		}
	}
	return nil, false
}

func TestPolicyIsForContainers(t *testing.T) {
	p := loadPolicy(t, "policies", "openclaw.yaml")
	if p.APIVersion != "tracee.aquasec.com/v1beta1" || p.Kind != "Policy" || p.Metadata.Name == "" {
		t.Errorf("not a policy: %+v", p)
	}
	if !slices.Equal(p.Spec.Scope, []string{"container"}) || !slices.Equal(p.Spec.DefaultActions, []string{"log"}) {
		t.Errorf("scope %q, actions %q", p.Spec.Scope, p.Spec.DefaultActions)
	}
}

// TestPoliciesNameKnownEvents matters because Tracee does not start with a policy
// that names an event it does not know. Its other rules for policies are those of
// pkg/policy/v1beta1 of aquasecurity/tracee v0.24.1.
func TestPoliciesNameKnownEvents(t *testing.T) {
	for _, file := range []string{"policies/openclaw.yaml", "native/openclaw-native-files.yaml", "native/openclaw-native-agent.yaml"} {
		p := loadPolicy(t, file)
		if p.APIVersion != "tracee.aquasec.com/v1beta1" || p.Kind != "Policy" || p.Metadata.Name+".yaml" != filepath.Base(file) {
			t.Errorf("%s is not a policy of its name: %+v", file, p)
		}
		seen := make(map[string]bool)
		for _, r := range p.Spec.Rules {
			if !slices.Contains(signatures, r.Event) && !slices.Contains(telemetry, r.Event) {
				t.Errorf("%s: event %s is not known", file, r.Event)
			}
			if why, bad := forbidden[r.Event]; bad {
				t.Errorf("%s: event %s: %s", file, r.Event, why)
			}
			if seen[r.Event] {
				t.Errorf("%s: event %s is there twice, which Tracee refuses", file, r.Event)
			}
			seen[r.Event] = true
		}
		for _, scope := range p.Spec.Scope {
			word, _, _ := strings.Cut(scope, "=")
			if !slices.Contains([]string{"container", "not-container", "comm", "follow"}, word) {
				t.Errorf("%s: scope %s is not known", file, scope)
			}
		}
	}
}

func TestPolicyWatchesSecrets(t *testing.T) {
	filters, ok := loadPolicy(t, "policies", "openclaw.yaml").filters("security_file_open")
	if !ok || len(filters) == 0 {
		t.Fatal("opens of files are not watched, or without a filter")
	}
	var patterns []string
	for _, f := range filters {
		pattern, ok := strings.CutPrefix(f, "data.pathname=")
		if !ok {
			t.Errorf("filter %s is not of the path", f)
			continue
		}
		// Tracee takes any other asterisk literally, or refuses the policy.
		inner := strings.TrimSuffix(pattern, "*")
		if inner == pattern {
			inner = strings.TrimPrefix(pattern, "*")
		}
		if strings.Contains(inner, "*") || len(inner) < 2 || len(pattern) > 255 {
			t.Errorf("pattern %s is none that Tracee can match", pattern)
		}
		patterns = append(patterns, pattern)
	}
	tests := []struct {
		path string
		want bool
	}{
		{"/home/node/.openclaw/openclaw.json", true},
		{"/home/node/.openclaw/.env", true},
		{"/home/node/.openclaw/credentials/telegram.json", true},
		{"/home/node/.openclaw/agents/main/agent/auth-profiles.json", true},
		{"/root/.openclaw/credentials/x", true},
		{"/home/node/.openclaw/state/openclaw.sqlite-wal", true},
		{"/home/claw/.openclaw/openclaw.json", true},
		{"/home/claw/.openclaw/secrets.json", true},
		{"/home/claw/.openclaw/agents/main/agent/openclaw-agent.sqlite", true},
		{"/home/node/.openclaw/identity/device.json", true},
		{"/home/node/.config/openclaw/key", true},
		{"/home/node/.openclaw/workspace/AGENTS.md", true},
		{"/home/node/.openclaw/workspace/skills/weather/SKILL.md", true},
		{"/workspace/skills/weather/run.sh", true},
		{"/home/node/.ssh/id_ed25519", true},
		{"/proc/1234/environ", true},
		{"/home/node/project/SOUL.md", true},
		{"/home/node/.openclaw/workspace/notes.txt", false},
		{"/home/node/app/package.json", false},
		{"/etc/passwd", false},
	}
	for _, tt := range tests {
		if got := slices.ContainsFunc(patterns, func(p string) bool { return matches(p, tt.path) }); got != tt.want {
			t.Errorf("open of %s is reported: %v, want %v", tt.path, got, tt.want)
		}
	}
}

// matches compares as Tracee does: an asterisk at one end or none.
func matches(pattern, path string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(path, prefix)
	}
	if suffix, ok := strings.CutPrefix(pattern, "*"); ok {
		return strings.HasSuffix(path, suffix)
	}
	return path == pattern
}

// TestPolicyFeedsLocalRules checks that what the shipped rules wait for arrives.
func TestPolicyFeedsLocalRules(t *testing.T) {
	var file struct {
		Rules []struct {
			Name  string   `yaml:"name"`
			Kinds []string `yaml:"kinds"`
		} `yaml:"rules"`
	}
	if err := yaml.Unmarshal(rules.Default(), &file); err != nil {
		t.Fatal(err)
	}
	p := loadPolicy(t, "policies", "openclaw.yaml")
	fed := 0
	for _, r := range file.Rules {
		if slices.Contains(r.Kinds, "tls") {
			continue // Suricata's
		}
		if !slices.ContainsFunc(r.Kinds, func(kind string) bool { _, ok := p.filters(kind); return ok }) {
			t.Errorf("rule %s waits for %q, of which the policy has none", r.Name, r.Kinds)
		}
		fed++
	}
	if fed == 0 {
		t.Fatal("no rule for Tracee")
	}
}
