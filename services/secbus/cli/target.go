package cli

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/natsconf"
	"github.com/openclaw-security/bus/services/internal/selection"
)

// connectWait is how long a command waits for a server before it gives up: long
// enough for one that is just starting, short enough for a person.
const connectWait = 5 * time.Second

// selectionFlags choose events.
type selectionFlags struct {
	Severity proto.Severity `default:"info" placeholder:"LEVEL" help:"Minimum severity: info, low, medium, high or critical."`
	Source   string         `placeholder:"NAME" help:"Only this source, such as suricata."`
	Kind     string         `placeholder:"NAME" help:"Only this kind, such as alert or dns."`
	Host     string         `placeholder:"NAME" help:"Only this host."`
	Filter   string         `placeholder:"EXPR" help:"Only events for which this expression holds, as in docs/rules.md: '$.src.ip == \"172.17.0.2\"'."`
}

// compile is the selection of the flags ready for matching.
func (f selectionFlags) compile(from, to selection.Moment) (*selection.Matcher, error) {
	m, err := f.selection(from, to).Compile()
	if err != nil {
		return nil, fmt.Errorf("--filter, --since or --until: %w", err)
	}
	return m, nil
}

// selection is what the flags choose of a time range; zero is without an end.
func (f selectionFlags) selection(from, to selection.Moment) selection.Selection {
	return selection.Selection{
		From: from.Time, To: to.Time, Severity: f.Severity,
		Source: f.Source, Kind: f.Kind, Host: f.Host, Matcher: f.Filter,
	}
}

// targetFlags choose the bus that a command talks to: the embedded one of a data
// directory, or any NATS server with a key for it.
type targetFlags struct {
	dataFlags
	Server string `env:"NATS_URL" placeholder:"URL" help:"NATS server to talk to instead of the embedded bus."`
	Key    string `env:"NATS_NKEY_SEED_FILE" placeholder:"FILE" type:"path" help:"File with the nkey seed to connect to --server with (or NATS_NKEY_SEED)."`
	Keys   string `env:"SECBUS_KEYS" placeholder:"DIR" type:"path" help:"Directory with the seeds of all roles that the command may have to take, in place of --key."`
}

// connect connects as role.
func (f targetFlags) connect(ctx context.Context, role string, term Terminal) (*bus.Conn, error) {
	return f.connectWithin(ctx, connectWait, role, term)
}

// connectWithin connects as role to a server, within wait.
func (f targetFlags) connectWithin(ctx context.Context, wait time.Duration, role string, term Terminal) (*bus.Conn, error) {
	options := bus.Options{Role: role, Log: slog.New(slog.DiscardHandler)}
	var err error
	if f.Server != "" {
		options.URL = f.Server
		options.Key, err = f.serverKey(role, term)
	} else {
		options.URL, options.Key, err = f.embedded(role)
	}
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, wait, fmt.Errorf("no reply within %s", wait))
	defer cancel()
	conn, err := bus.Connect(ctx, options)
	if err != nil {
		return nil, err
	}
	return conn, nil
}

// serverKey reads role's key for a server that is not ours.
func (f targetFlags) serverKey(role string, term Terminal) (nkeys.KeyPair, error) {
	if f.Keys != "" && f.Key == "" {
		key, err := natsconf.LoadSeed(filepath.Join(f.Keys, role+".nk"))
		if err != nil {
			return nil, fmt.Errorf("loading the key of role %s: %w", role, err)
		}
		return key, nil
	}
	environ := []string{"NATS_URL=" + f.Server, "NATS_NKEY_SEED_FILE=" + f.Key}
	if f.Key == "" {
		environ = append(term.Environ, "NATS_URL="+f.Server)
	}
	var settings config.NATS
	if err := config.Load(&settings, environ); err != nil {
		return nil, err
	}
	return settings.Key()
}

// embedded finds the running bus of the data directory and role's key to it.
func (f targetFlags) embedded(role string) (string, nkeys.KeyPair, error) {
	data, err := f.dir()
	if err != nil {
		return "", nil, err
	}
	e, err := readEndpoint(data)
	if err != nil {
		return "", nil, err
	}
	key, err := natsconf.LoadSeed(filepath.Join(keysDir(data), role+".nk"))
	if err != nil {
		return "", nil, fmt.Errorf("loading the key of role %s: %w", role, err)
	}
	return e.URL, key, nil
}
