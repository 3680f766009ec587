package cli

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/renameio/v2"

	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/natsconf"
	"github.com/openclaw-security/bus/services/internal/service"
)

type keysCommand struct {
	Init keysInitCommand `cmd:"" help:"Make the keys that are missing and write the configuration of the NATS server that accepts them."`
	Show keysShowCommand `cmd:"" help:"Print the seed of a role's key, to use it elsewhere."`
}

type keysInitCommand struct {
	Dir     string   `required:"" placeholder:"DIR" type:"path" help:"Where the keys are: one directory for each process, with the seeds that it is to have."`
	Config  string   `required:"" placeholder:"FILE" type:"path" help:"The NATS server's configuration file to write."`
	Store   string   `default:"/data/jetstream" placeholder:"DIR" help:"Where that server keeps the streams (${default})."`
	Cluster []string `env:"NATS_CLUSTER" placeholder:"HOST" help:"Names of all servers of a cluster, three or five; each finds its own in NATS_SERVER_NAME."`
	Domain  string   `env:"NATS_DOMAIN" placeholder:"NAME" help:"JetStream domain of the server, for one that is to be a leaf node."`
	Include string   `env:"NATS_INCLUDE" placeholder:"FILE" help:"Further configuration file of the server, relative to --config: TLS, or the server that it connects to as a leaf node."`
	Rotate  []string `placeholder:"ROLE" help:"Roles whose keys are replaced by new ones."`
}

// Help is shown by --help.
func (keysInitCommand) Help() string {
	return "Repeating it changes nothing unless the settings have changed: OPENCLAW_HOST, SECBUS_SOURCES, TELEGRAM_CHAT_ID and WEBHOOK_URL decide which roles there are and what they may do, SECURITY_MAX_BYTES and the like how much the server may store. A server that is running has to be restarted, or sent SIGHUP, to read what was changed; a process whose key was replaced has to be restarted too."
}

// Run makes keys and writes the configuration.
func (c *keysInitCommand) Run(term Terminal, table []service.Spec) error {
	var retention Retention
	layout, err := service.Join(table, service.NewDeployment(term.Environ))
	if err := config.Join(config.Load(&retention, term.Environ), err); err != nil {
		return err
	}
	if err := retention.check(layout.Streams); err != nil {
		return err
	}
	if n := len(c.Cluster); n == 1 || n == 2 || n > 0 && n%2 == 0 {
		return fmt.Errorf("a cluster of %d servers cannot lose one and go on: name 3 or 5", n)
	}
	keys, made, err := c.keys(layout.Roles)
	if err != nil {
		return err
	}
	server := natsconf.Server{
		Roles:      layout.Roles,
		PublicKeys: keys,
		StoreDir:   c.Store,
		MaxStore:   retention.storeLimit(layout.Streams),
		Cluster:    c.Cluster,
		Domain:     c.Domain,
		Include:    c.Include,
	}
	if len(c.Cluster) > 0 {
		if server.Password, err = clusterPassword(c.Config + ".password"); err != nil {
			return err
		}
	}
	text, err := server.Config()
	if err != nil {
		return fmt.Errorf("rendering the server's configuration: %w", err)
	}
	changed, err := writeChanged(c.Config, []byte(text))
	if err != nil {
		return fmt.Errorf("writing the server's configuration: %w", err)
	}
	what := "unchanged"
	if changed {
		what = "written; restart the NATS server if it is running"
	}
	_, err = fmt.Fprintf(term.Stdout, "%d keys in %s, %d of them new; %s %s\n", len(keys), c.Dir, made, c.Config, what)
	return err
}

// keys returns the public keys of roles and how many had to be made.
func (c *keysInitCommand) keys(roles []bus.Role) (keys map[string]string, made int, err error) {
	for _, name := range c.Rotate {
		if !slices.ContainsFunc(roles, func(r bus.Role) bool { return r.Name == name }) {
			return nil, 0, fmt.Errorf("there is no role %q; %s", name, roleNames(roles))
		}
	}
	keys = make(map[string]string)
	for _, role := range roles {
		dir := filepath.Join(c.Dir, cmp.Or(role.Holder, role.Name))
		seed := filepath.Join(dir, role.Name+".nk")
		if slices.Contains(c.Rotate, role.Name) {
			if err := os.Remove(seed); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, 0, fmt.Errorf("removing the old key of role %s: %w", role.Name, err)
			}
		}
		if _, err := os.Lstat(seed); errors.Is(err, fs.ErrNotExist) {
			made++
		}
		ids, err := natsconf.LoadOrCreate(dir, []string{role.Name})
		if err != nil {
			return nil, 0, err
		}
		keys[role.Name] = ids.PublicKeys()[role.Name]
	}
	return keys, made, nil
}

func roleNames(roles []bus.Role) string {
	names := make([]string, len(roles))
	for i, r := range roles {
		names[i] = r.Name
	}
	return "there are " + strings.Join(names, ", ")
}

// clusterPassword reads the password of a cluster's servers, and first makes it.
func clusterPassword(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err == nil && len(text) > 0 {
		return string(text), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("reading the cluster's password: %w", err)
	}
	password := rand.Text()
	if err := renameio.WriteFile(file, []byte(password), 0o600, renameio.WithTempDir(filepath.Dir(file))); err != nil {
		return "", fmt.Errorf("writing the cluster's password: %w", err)
	}
	return password, nil
}

// writeChanged puts text into file, whole or not at all, unless that is what is
// there.
func writeChanged(file string, text []byte) (changed bool, err error) {
	have, err := os.ReadFile(file)
	if err == nil && bytes.Equal(have, text) {
		return false, nil
	}
	return true, renameio.WriteFile(file, text, 0o600, renameio.WithTempDir(filepath.Dir(file)))
}

type keysShowCommand struct {
	Role string `arg:"" help:"The role, such as tail."`
	Dir  string `required:"" env:"SECBUS_KEYS" placeholder:"DIR" type:"path" help:"Directory with the role's seed."`
}

// Help is shown by --help.
func (keysShowCommand) Help() string {
	return "Everybody who has the seed has the role's permissions. `secbus keys show tail` is for reading the bus from another machine: nats --nkey FILE --inbox-prefix _INBOX_tail sub 'security.>'"
}

// Run prints the seed.
func (c *keysShowCommand) Run(term Terminal) error {
	key, err := natsconf.LoadSeed(filepath.Join(c.Dir, c.Role+".nk"))
	if err != nil {
		return fmt.Errorf("loading the key of role %s: %w", c.Role, err)
	}
	seed, err := key.Seed()
	if err != nil {
		return fmt.Errorf("reading the seed of role %s: %w", c.Role, err)
	}
	_, err = fmt.Fprintf(term.Stdout, "%s\n", seed)
	return err
}
