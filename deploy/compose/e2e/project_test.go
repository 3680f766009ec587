package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/openclaw-security/bus/proto"
)

// The root of the repository, and what is laid over its compose file.
const (
	root     = "../../.."
	override = "testdata/compose.test.yaml"
)

// project is the shipped compose file, started under a name of its own.
type project struct {
	t        *testing.T
	ctx      context.Context
	name     string
	dir      string // with the shipped files
	files    []string
	profiles []string
	settings string // path of what stands for .env.security
	nats     string // addresses on loopback
	proxy    string
	telegram string
}

// newProject prepares a project with these settings; compose starts it.
func newProject(t *testing.T, limit time.Duration, settings map[string]string, profiles ...string) *project {
	t.Helper()
	needDocker(t)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	id := strings.ToLower(rand.Text()[:6])
	p := &project{
		t: t, ctx: ctx, name: "e2e-" + id, profiles: profiles, dir: t.TempDir(),
		settings: filepath.Join(t.TempDir(), "settings.env"),
		nats:     freeAddr(t), proxy: freeAddr(t), telegram: freeAddr(t),
	}
	// Beside the compose file there may be settings of a stack that runs, which
	// compose would read.
	for _, name := range []string{"compose.yaml", "deploy", "mappings", "rules", "suricata", "tracee"} {
		source, err := filepath.Abs(filepath.Join(root, name))
		if err == nil {
			err = os.Symlink(source, filepath.Join(p.dir, name))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	p.files = p.single()
	all := map[string]string{
		"SECURITY_VERSION":   "e2e",
		"SURICATA_INTERFACE": "br-" + id,
		"NATS_PORT":          port(p.nats),
		"PROXY_PORT":         port(p.proxy),
		"E2E_TELEGRAM_PORT":  port(p.telegram),
	}
	var text strings.Builder
	for _, part := range []map[string]string{all, settings} {
		for key, value := range part {
			fmt.Fprintf(&text, "%s=%s\n", key, value)
		}
	}
	if err := os.WriteFile(p.settings, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.remove)
	return p
}

// single are the files of a stack with one NATS server, clustered with three.
func (p *project) single() []string {
	return []string{p.file("compose.yaml"), p.file("deploy/compose/tracee-recording.yaml"), override}
}

func (p *project) clustered() []string {
	return []string{p.file("compose.yaml"), p.file("deploy/compose/cluster.yaml"), p.file("deploy/compose/tracee-recording.yaml"), override, "testdata/compose.cluster.test.yaml"}
}

func (p *project) file(name string) string { return filepath.Join(p.dir, name) }

func port(addr string) string { return addr[strings.LastIndex(addr, ":")+1:] }

// try runs a compose command and returns what it printed. Of this process's
// settings compose sees none.
func (p *project) try(ctx context.Context, args ...string) (string, error) {
	all := []string{"compose", "--progress", "quiet", "-p", p.name, "--env-file", p.settings}
	for _, file := range p.files {
		all = append(all, "-f", file)
	}
	for _, profile := range p.profiles {
		all = append(all, "--profile", profile)
	}
	command := exec.CommandContext(ctx, "docker", append(all, args...)...)
	for _, key := range []string{"PATH", "HOME", "DOCKER_HOST", "DOCKER_CONFIG", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "XDG_RUNTIME_DIR"} {
		if value, ok := os.LookupEnv(key); ok {
			command.Env = append(command.Env, key+"="+value)
		}
	}
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		return stdout.String(), fmt.Errorf("docker compose %s: %w: %s", strings.Join(args, " "), err, lastLines(stderr.String(), 10))
	}
	return stdout.String(), nil
}

// compose is try for what has to succeed.
func (p *project) compose(args ...string) string {
	p.t.Helper()
	out, err := p.try(p.ctx, args...)
	if err != nil {
		p.t.Fatal(err)
	}
	return out
}

// remove takes everything away, and shows the logs if the test has failed.
func (p *project) remove() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if p.t.Failed() {
		state, _ := p.try(ctx, "ps", "-a")
		output, _ := p.try(ctx, "logs", "--no-color", "--tail", "25")
		p.t.Logf("%s\n%s", state, output)
	}
	// Those of a cluster name more volumes.
	p.files, p.profiles = p.clustered(), []string{"*"}
	if _, err := p.try(ctx, "down", "--volumes", "--timeout", "1", "--remove-orphans"); err != nil {
		p.t.Error(err)
	}
}

// connect connects from the host as the operator would, who shows the key first.
func (p *project) connect(role string) *nats.Conn {
	p.t.Helper()
	key, err := nkeys.FromSeed([]byte(strings.TrimSpace(p.compose("run", "--rm", "--no-deps", "-T", "secbus", "keys", "show", role))))
	if err != nil {
		p.t.Fatalf("reading the seed: %v", err)
	}
	public, err := key.PublicKey()
	if err != nil {
		p.t.Fatal(err)
	}
	nc, err := nats.Connect("nats://"+p.nats, nats.Nkey(public, key.Sign), nats.CustomInboxPrefix("_INBOX_"+role), nats.IgnoreDiscoveredServers())
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(nc.Close)
	return nc
}

// tail subscribes to all that is stored.
func (p *project) tail() *nats.Subscription {
	p.t.Helper()
	nc := p.connect("tail")
	sub, err := nc.SubscribeSync(proto.StoredPrefix + ".>")
	if err != nil {
		p.t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		p.t.Fatal(err)
	}
	return sub
}

// awaitStored waits for a message of this subject with these words in it, and
// returns it.
func (p *project) awaitStored(live *nats.Subscription, subject, words string) *nats.Msg {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	for {
		m, err := live.NextMsgWithContext(ctx)
		if err != nil {
			p.t.Fatalf("waiting for %s: %v", subject, err)
		}
		if m.Subject == subject && strings.Contains(string(m.Data), words) {
			return m
		}
	}
}

// awaitHealthy waits until the services' own checks say that they are well.
func (p *project) awaitHealthy(services ...string) {
	p.t.Helper()
	await(p.ctx, p.t, "the stack to be healthy", func() (bool, string) {
		out := p.compose("ps", "--format", "{{.Service}} {{.Health}}")
		for _, name := range services {
			if !strings.Contains(out, name+" healthy\n") {
				return false, strings.ReplaceAll(out, "\n", ", ")
			}
		}
		return true, ""
	})
}
