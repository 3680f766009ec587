package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/notifier"
	"github.com/openclaw-security/bus/services/secbus/internal/doctor"
)

type doctorCommand struct {
	targetFlags
	Admin     []string `env:"DOCTOR_ADMIN" placeholder:"[NAME=]ADDR" help:"Service that serves /readyz, as host:port; may be repeated. The embedded bus is asked at ADMIN_ADDR."`
	Proxy     string   `env:"DOCTOR_PROXY" placeholder:"ADDR" help:"LLM proxy, as host:port. That of the embedded bus is asked at PROXY_ADDR."`
	Disk      []string `env:"DOCTOR_DISKS" placeholder:"DIR" help:"Directory whose file system must have room, the streams' first; may be repeated. For the embedded bus it is the data directory."`
	RulesFile string   `env:"DOCTOR_RULES" placeholder:"FILE" help:"Suricata's rules, to tell their age by; otherwise it is told by when they were loaded."`
	OpenClaw  string   `default:"${default_openclaw}" placeholder:"DIR" help:"OpenClaw's directory, where its bot's token is looked for (${default})."`
	JSON      bool     `help:"Print as JSON."`
}

// Help is shown by --help.
func (doctorCommand) Help() string {
	return "Follows the way of an alert from the sensors to the chat, says how each hop stands, what is wrong and what to do. It changes nothing and sends no message: `secbus notify test` sends one the whole way. Exits with 3 if something does not work; warnings alone do not count."
}

// Run looks at everything that an alert passes.
func (c *doctorCommand) Run(ctx context.Context, term terminal) error {
	options, err := c.options(term)
	if err != nil {
		return err
	}
	var found []doctor.Finding
	conn, err := c.connect(ctx, bus.RoleOperator, term)
	if err != nil {
		found = append(found, doctor.Finding{Hop: "server", Subject: "NATS", State: doctor.Fault, Text: err.Error()})
	} else {
		defer conn.Close()
		options.Conn = conn
	}
	found = append(found, doctor.Check(ctx, options)...)
	if c.JSON {
		err = printJSON(term.stdout, found)
	} else {
		err = printFindings(term.stdout, found)
	}
	if err != nil {
		return fmt.Errorf("writing the findings: %w", err)
	}
	if slices.ContainsFunc(found, func(f doctor.Finding) bool { return f.State == doctor.Fault }) {
		return errMissing
	}
	return nil
}

func printFindings(w io.Writer, found []doctor.Finding) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range found {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", f.State, f.Hop, f.Subject, f.Text)
	}
	return t.Flush()
}

// options say what to look at: what the flags name, and where the embedded bus
// is asked, what `secbus up` reads from the same environment.
func (c *doctorCommand) options(term terminal) (doctor.Options, error) {
	var chats notifier.Config
	o := doctor.Options{Sources: sensorsInUse(term.environ), RulesFile: c.RulesFile, Disks: c.Disk}
	if c.Server == "" {
		settings, err := loadUp(term.environ)
		if err != nil {
			return doctor.Options{}, err
		}
		data, err := c.dir()
		if err != nil {
			return doctor.Options{}, err
		}
		chats = settings.Notifier
		o.Disks = append([]string{data}, o.Disks...)
		o.Services = assumed("secbus up", settings.Admin.Addr)
		if proxy := assumed("proxy", settings.Proxy.Addr); len(proxy) > 0 {
			o.Proxy, o.Providers = &proxy[0], settings.Proxy.LLM.Endpoints()
		}
	} else {
		environ := append(term.environ[:len(term.environ):len(term.environ)], "NATS_URL=", "NATS_NKEY_SEED=", "NATS_NKEY_SEED_FILE=")
		if err := config.Load(&chats, environ); err != nil {
			return doctor.Options{}, err
		}
	}
	o.Chats = func(ctx context.Context) []doctor.Finding { return checkChats(ctx, chats, openClawTokens(c.OpenClaw)) }
	if err := c.named(&o); err != nil {
		return doctor.Options{}, err
	}
	o.Services = slices.DeleteFunc(o.Services, func(e doctor.Endpoint) bool {
		return slices.ContainsFunc(expectedSources(), func(source string) bool {
			return !slices.Contains(o.Sources, source) && strings.Contains(e.Name, bus.ShipperRole(source))
		})
	})
	return o, nil
}

// named puts the endpoints that the flags name in place of those assumed.
func (c *doctorCommand) named(o *doctor.Options) error {
	if len(c.Admin) > 0 {
		o.Services = nil
	}
	for _, word := range c.Admin {
		at, err := endpointAt("--admin", word)
		if err != nil {
			return err
		}
		o.Services = append(o.Services, at)
	}
	if c.Proxy != "" {
		at, err := endpointAt("--proxy", c.Proxy)
		if err != nil {
			return err
		}
		o.Proxy = &at
	}
	return nil
}

// assumed is where a part of the embedded bus listens by its settings, none if
// it does not or nobody knows on which port.
func assumed(name, addr string) []doctor.Endpoint {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || port == "0" {
		return nil
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return []doctor.Endpoint{{Name: name, URL: "http://" + net.JoinHostPort(host, port), Assumed: true}}
}

// endpointAt reads the value of a flag: [name=]host:port or [name=]URL.
func endpointAt(flag, value string) (doctor.Endpoint, error) {
	name, addr, named := strings.Cut(value, "=")
	if !named {
		name, addr = "", value
	}
	addr = strings.TrimSuffix(strings.TrimSpace(addr), "/")
	if !strings.Contains(addr, "://") {
		addr = "http://" + addr
	}
	if err := config.URL(flag, addr, "http", "https"); err != nil {
		return doctor.Endpoint{}, fmt.Errorf("%s: %w", flag, err)
	}
	_, host, _ := strings.Cut(addr, "://")
	return doctor.Endpoint{Name: cmp.Or(strings.TrimSpace(name), host), URL: addr}, nil
}

// checkChats looks at how the chats are set up.
func checkChats(ctx context.Context, cfg notifier.Config, others []config.Secret) []doctor.Finding {
	if !cfg.Telegram.Enabled() {
		return []doctor.Finding{{
			Hop: "telegram", Subject: "settings", State: doctor.Warning,
			Text: "TELEGRAM_BOT_TOKEN and TELEGRAM_CHAT_ID are not set: alerts are printed, or posted to WEBHOOK_URL",
		}}
	}
	found, err := notifier.Check(ctx, cfg, others)
	if err != nil {
		return []doctor.Finding{{Hop: "telegram", Subject: "settings", State: doctor.Fault, Text: err.Error()}}
	}
	var all []doctor.Finding
	for _, f := range found {
		all = append(all, doctor.Finding{Hop: f.Sink, Subject: f.Subject, State: doctor.State(f.State), Text: f.Text})
	}
	return all
}

// botToken is what the token of a Telegram bot looks like.
var botToken = regexp.MustCompile(`[0-9]{6,12}:[A-Za-z0-9_-]{30,}`)

// openClawTokens looks for the tokens of bots in OpenClaw's configuration, as
// far as that can be read.
func openClawTokens(dir string) []config.Secret {
	text, err := os.ReadFile(filepath.Join(dir, "openclaw.json"))
	if err != nil {
		return nil
	}
	var tokens []config.Secret
	for _, token := range botToken.FindAllString(string(text), 16) {
		tokens = append(tokens, config.NewSecret(token))
	}
	return tokens
}

// defaultOpenClaw is where OpenClaw keeps its configuration.
func defaultOpenClaw() string {
	home, err := os.UserHomeDir()
	if err != nil {
		return ".openclaw"
	}
	return filepath.Join(home, ".openclaw")
}
