// Package compose_test checks what must stay true of the compose files: what each container may do, and what bounds it.
package compose_test

import (
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// service is what the checks look at.
type service struct {
	Image         string            `yaml:"image"`
	PullPolicy    string            `yaml:"pull_policy"`
	Build         any               `yaml:"build"`
	ContainerName string            `yaml:"container_name"`
	Entrypoint    []string          `yaml:"entrypoint"`
	Command       []string          `yaml:"command"`
	Environment   map[string]string `yaml:"environment"`
	ReadOnly      bool              `yaml:"read_only"`
	Privileged    bool              `yaml:"privileged"`
	User          string            `yaml:"user"`
	CapDrop       []string          `yaml:"cap_drop"`
	CapAdd        []string          `yaml:"cap_add"`
	SecurityOpt   []string          `yaml:"security_opt"`
	PIDsLimit     int               `yaml:"pids_limit"`
	Ulimits       map[string]int    `yaml:"ulimits"`
	MemLimit      string            `yaml:"mem_limit"`
	CPUs          float64           `yaml:"cpus"`
	NetworkMode   string            `yaml:"network_mode"`
	PID           string            `yaml:"pid"`
	Cgroup        string            `yaml:"cgroup"`
	Networks      any               `yaml:"networks"`
	Sysctls       map[string]int    `yaml:"sysctls"`
	Ports         []string          `yaml:"ports"`
	Volumes       []string          `yaml:"volumes"`
	Secrets       []string          `yaml:"secrets"`
	Devices       []string          `yaml:"devices"`
	Restart       string            `yaml:"restart"`
	StopGrace     string            `yaml:"stop_grace_period"`
	Profiles      []string          `yaml:"profiles"`
	Logging       struct {
		Options map[string]string `yaml:"options"`
	} `yaml:"logging"`
}

// files are compose.yaml and what it includes of the stack itself.
var files = []string{"compose.yaml", "suricata.1.yaml", "tracee.1.yaml"}

func services(t *testing.T, of ...string) map[string]service {
	t.Helper()
	if len(of) == 0 {
		of = files
	}
	found := make(map[string]service)
	for _, file := range of {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var all struct {
			Services map[string]service `yaml:"services"`
		}
		// To the parser, a key beside a merged one of the same name is a duplicate.
		if err := yaml.UnmarshalWithOptions(text, &all, yaml.AllowDuplicateMapKey()); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if len(all.Services) == 0 {
			t.Fatalf("%s has no services", file)
		}
		maps.Copy(found, all.Services)
	}
	return found
}

// TestLeavingOut: what a setting leaves out is in a file of its own, the other of
// which is empty.
func TestLeavingOut(t *testing.T) {
	for _, file := range []string{"suricata.0.yaml", "tracee.0.yaml"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var all map[string]map[string]any
		if err := yaml.Unmarshal(text, &all); err != nil || len(all) != 1 || len(all["services"]) != 0 {
			t.Errorf("%s holds %v, %v", file, all, err)
		}
	}
}

// ours reports whether the service runs an image that this project builds.
func (s service) ours() bool { return strings.HasPrefix(s.Image, "openclaw-security/") }

// What else a container may do than nothing, each with its reason.
var (
	capabilities = map[string][]string{
		// Captures packets; the first three are given up with root, at the start.
		"security-suricata": {"CHOWN", "SETGID", "SETUID", "NET_ADMIN", "NET_RAW", "SYS_NICE"},
		// Gives up root, and these with it.
		"security-suricata-update": {"CHOWN", "SETGID", "SETUID"},
	}
	privileged = []string{"security-tracee"} // loads programs into the kernel
	hostNet    = []string{"security-suricata"}
	// What a container sees of the machine's own files.
	hostPaths = map[string][]string{
		"security-shipper-suricata": {"../../rules:/rules:ro"},
		"security-shipper-tracee":   {"../../rules:/rules:ro"},
		"security-auditor":          {"../../rules:/rules:ro"},
		"security-guard":            {"../../rules:/rules:ro"},
		"security-suricata":         {"../../suricata:/suricata:ro"},
		"security-suricata-update":  {"../../suricata:/suricata:ro"},
		"security-tracee":           {"../../tracee:/openclaw:ro", "/etc/os-release:/etc/os-release-host:ro", "/var/run:/var/run:ro"},
	}
	// Who is on a network that leads out of the machine, or to the agent.
	onEdge     = []string{"security-suricata-update", "security-llm-proxy", "security-notifier", "secbus"}
	onOpenClaw = []string{"security-llm-proxy"}
	// Who has which seeds. Everybody else has none.
	seeds = map[string]string{
		"security-provision":        "keys-provisioner",
		"security-shipper-suricata": "keys-shipper-suricata",
		"security-shipper-tracee":   "keys-shipper-tracee",
		"security-llm-proxy":        "keys-proxy",
		"security-notifier":         "keys-notifier",
		"security-auditor":          "keys-auditor",
		"secbus":                    "keys-operator",
	}
	// Who is given which secrets.
	secrets = map[string][]string{
		"LLM_API_KEY":           {"security-llm-proxy"},
		"LLM_ANTHROPIC_API_KEY": {"security-llm-proxy"},
		"LLM_OPENAI_API_KEY":    {"security-llm-proxy"},
		"LLM_GEMINI_API_KEY":    {"security-llm-proxy"},
		"LLM_UPSTREAM_KEYS":     {"security-llm-proxy"},
		"PROXY_CLIENT_TOKENS":   {"security-llm-proxy"},
		"PROXY_CANARIES":        {"security-llm-proxy"},
		"WEBHOOK_SECRET":        {"security-notifier"},
		"TELEGRAM_BOT_TOKEN":    {"security-notifier", "secbus"},
		"WEBHOOK_URL":           {"security-notifier", "secbus"},

		"NOTIFIER_HEARTBEAT_URL": {"security-notifier"},
	}
)

func TestNoContainerMayMoreThanItNeeds(t *testing.T) {
	for name, s := range services(t) {
		t.Run(name, func(t *testing.T) {
			if s.Privileged != slices.Contains(privileged, name) {
				t.Errorf("privileged: %t", s.Privileged)
			}
			if s.User != "" {
				t.Errorf("user %q: the images say who they run as", s.User)
			}
			if host := s.NetworkMode == "host"; host != slices.Contains(hostNet, name) {
				t.Errorf("network_mode: %q", s.NetworkMode)
			}
			if host := s.PID == "host" || s.Cgroup == "host"; host != slices.Contains(privileged, name) {
				t.Errorf("pid: %q, cgroup: %q", s.PID, s.Cgroup)
			}
			if len(s.Devices) > 0 {
				t.Errorf("devices: %q", s.Devices)
			}
			if s.Privileged {
				return
			}
			if !s.ReadOnly {
				t.Error("its file system can be written to")
			}
			if !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Equal(s.CapAdd, capabilities[name]) {
				t.Errorf("capabilities: without %q, with %q", s.CapDrop, s.CapAdd)
			}
			if !slices.Contains(s.SecurityOpt, "no-new-privileges:true") || len(s.SecurityOpt) != 1 {
				t.Errorf("security_opt: %q", s.SecurityOpt)
			}
			if s.PIDsLimit == 0 {
				t.Error("no limit to its processes")
			}
		})
	}
}

func TestEveryContainerIsBounded(t *testing.T) {
	for name, s := range services(t) {
		t.Run(name, func(t *testing.T) {
			if s.MemLimit == "" || s.CPUs == 0 {
				t.Errorf("memory %q, CPUs %v", s.MemLimit, s.CPUs)
			}
			if s.Ulimits["nofile"] == 0 {
				t.Error("no limit on open files")
			}
			if s.Logging.Options["max-size"] == "" || s.Logging.Options["max-file"] == "" {
				t.Errorf("its log is unbounded: %v", s.Logging.Options)
			}
			// Without it Go lets its memory grow to twice what is in use, and the
			// kernel kills what a collection would have saved. One-offs are short.
			if s.ours() && s.Restart != "no" && !belowLimit(s.Environment["GOMEMLIMIT"], s.MemLimit) {
				t.Errorf("GOMEMLIMIT %q with memory for %q", s.Environment["GOMEMLIMIT"], s.MemLimit)
			}
			if s.Restart == "" {
				t.Error("no restart policy")
			}
			if s.Restart != "no" && s.StopGrace == "" {
				t.Error("no stop_grace_period")
			}
			if name != "secbus" && s.ContainerName != name {
				t.Errorf("container_name %q", s.ContainerName)
			}
		})
	}
}

// belowLimit reports whether Go's limit in MiB leaves a tenth of the container's.
func belowLimit(goLimit, container string) bool {
	limit, err := strconv.Atoi(strings.TrimSuffix(goLimit, "MiB"))
	bound, boundErr := strconv.Atoi(strings.TrimSuffix(container, "m"))
	return err == nil && boundErr == nil && limit > 0 && limit*10 <= bound*9
}

func TestNetworks(t *testing.T) {
	for name, s := range services(t) {
		joined := networks(s)
		for network, allowed := range map[string][]string{"edge": onEdge, "openclaw": onOpenClaw} {
			if slices.Contains(joined, network) != slices.Contains(allowed, name) {
				t.Errorf("%s is on %q", name, joined)
			}
		}
		for _, port := range s.Ports {
			if !strings.HasPrefix(port, "127.0.0.1:") {
				t.Errorf("%s is published to other machines: %s", name, port)
			}
		}
	}
	text, err := os.ReadFile("compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Networks map[string]struct {
			Internal bool `yaml:"internal"`
		} `yaml:"networks"`
	}
	if err := yaml.UnmarshalWithOptions(text, &file, yaml.AllowDuplicateMapKey()); err != nil {
		t.Fatal(err)
	}
	if !file.Networks["security-net"].Internal {
		t.Error("security-net leads out of the machine")
	}
}

// TestNoContainerIsARouter: what is on several networks does not forward from one
// to another, even if the machine does.
func TestNoContainerIsARouter(t *testing.T) {
	for name, s := range services(t, append(files, "monitoring/compose.yaml")...) {
		if s.NetworkMode != "" || len(networks(s)) < 2 {
			continue
		}
		if forward, set := s.Sysctls["net.ipv4.ip_forward"]; !set || forward != 0 || s.Sysctls["net.ipv4.conf.all.rp_filter"] != 1 {
			t.Errorf("%s is on %q with %v", name, networks(s), s.Sysctls)
		}
	}
}

// TestOurImagesAreNotFetched: a public registry gives what somebody has published
// under the name.
func TestOurImagesAreNotFetched(t *testing.T) {
	built := make(map[string]bool)
	all := services(t)
	for _, s := range all {
		built[s.Image] = built[s.Image] || s.Build != nil
	}
	for name, s := range all {
		if s.ours() && (s.PullPolicy != "never" || !built[s.Image]) {
			t.Errorf("%s: pull_policy %q, built %t", name, s.PullPolicy, built[s.Image])
		}
		if !s.ours() && s.PullPolicy != "" {
			t.Errorf("%s: pull_policy %q of an image that is not ours", name, s.PullPolicy)
		}
	}
}

func networks(s service) []string {
	var names []string
	switch n := s.Networks.(type) {
	case []any:
		for _, name := range n {
			names = append(names, name.(string))
		}
	case map[string]any:
		for name := range n {
			names = append(names, name)
		}
	}
	return names
}

func TestFilesAndSeeds(t *testing.T) {
	for name, s := range services(t) {
		if name == "security-keys" { // which makes them
			continue
		}
		var paths, keys []string
		for _, v := range s.Volumes {
			source, _, _ := strings.Cut(v, ":")
			switch {
			case strings.HasPrefix(source, ".") || strings.HasPrefix(source, "/"):
				paths = append(paths, v)
			case strings.HasPrefix(source, "keys-"):
				if !strings.HasSuffix(v, ":ro") {
					t.Errorf("%s can replace its key: %s", name, v)
				}
				keys = append(keys, source)
			}
			if strings.Contains(v, "docker.sock") {
				t.Errorf("%s rules the machine: %s", name, v)
			}
		}
		if !slices.Equal(paths, hostPaths[name]) {
			t.Errorf("%s sees %q", name, paths)
		}
		var want []string
		if seeds[name] != "" {
			want = []string{seeds[name]}
		}
		if !slices.Equal(keys, want) {
			t.Errorf("%s has the seeds in %q, want %q", name, keys, want)
		}
	}
}

func TestSecretsGoWhereTheyAreUsed(t *testing.T) {
	seen := make(map[string]bool)
	for name, s := range services(t) {
		for key, value := range s.Environment {
			allowed, secret := secrets[key]
			if !secret {
				continue
			}
			seen[key] = true
			// ${KEY:+word} tells that it is set, and not what it is.
			if !slices.Contains(allowed, name) && !strings.HasPrefix(value, "${"+key+":+") {
				t.Errorf("%s is given %s", name, key)
			}
			file := "${" + key + "_FILE:+/run/secrets/" + key + "}"
			if slices.Contains(allowed, name) && (s.Environment[key+"_FILE"] != file || !slices.Contains(s.Secrets, key)) {
				t.Errorf("%s cannot be given %s as a file", name, key)
			}
		}
		for _, key := range s.Secrets {
			if !slices.Contains(secrets[key], name) {
				t.Errorf("%s is given the file of %s", name, key)
			}
		}
	}
	for key := range secrets {
		if !seen[key] {
			t.Errorf("nobody is given %s", key)
		}
	}
}

// TestImages: what is built here has no shell and is not root.
func TestImages(t *testing.T) {
	text, err := os.ReadFile("Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	stages := make(map[string]string) // what each is made from
	user := make(map[string]bool)
	var stage string
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		switch {
		case len(words) == 4 && words[0] == "FROM" && words[2] == "AS":
			stage = words[3]
			stages[stage] = words[1]
		case len(words) == 2 && words[0] == "USER":
			user[stage] = words[1] == "65532:65532"
		}
	}
	for name, s := range services(t) {
		if !s.ours() {
			continue
		}
		target, _, _ := strings.Cut(strings.TrimPrefix(s.Image, "openclaw-security/"), ":")
		unprivileged := false
		for target != "scratch" {
			from, ok := stages[target]
			if !ok {
				t.Fatalf("%s: there is no stage %s", name, target)
			}
			unprivileged = unprivileged || user[target]
			target = from
		}
		if !unprivileged {
			t.Errorf("%s runs as root", name)
		}
	}
}

// TestClusterKeepsTheStore: a server of a cluster deletes the streams of one that
// stood alone, so no server of the cluster may have its volume.
func TestClusterKeepsTheStore(t *testing.T) {
	stores := make(map[string]string)
	for name, s := range services(t, "cluster.yaml") {
		for _, volume := range s.Volumes {
			if source, target, _ := strings.Cut(volume, ":"); target == "/data" {
				stores[source] = name
			}
		}
	}
	want := map[string]string{"nats-1-data": "security-nats", "nats-2-data": "security-nats-2", "nats-3-data": "security-nats-3"}
	if !maps.Equal(stores, want) {
		t.Errorf("stores are %v, want %v", stores, want)
	}
}
