package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/secbus/internal/openclaw"
)

type openclawCommand struct {
	Configure openclawConfigureCommand `cmd:"" help:"Have OpenClaw ask its models through the proxy."`
	Restore   openclawRestoreCommand   `cmd:"" help:"Take back what configure did."`
	Keys      openclawKeysCommand      `cmd:"" help:"Say where OpenClaw has keys of its own."`
}

type openclawFile struct {
	File string `default:"${default_openclaw}/openclaw.json" placeholder:"FILE" type:"path" help:"OpenClaw's configuration (${default})."`
	Undo string `default:"${default_data}/openclaw-undo" placeholder:"DIR" type:"path" help:"Where the former configuration is kept, with its keys: nowhere that OpenClaw can read (${default})."`
}

type openclawConfigureCommand struct {
	openclawFile
	Proxy    string   `default:"http://127.0.0.1:8080" placeholder:"URL" help:"The proxy as OpenClaw reaches it (${default})."`
	Provider []string `placeholder:"NAME" help:"Provider of the proxy: anthropic, openai or gemini; may be repeated. By default those that the environment sets up."`
	Upstream []string `placeholder:"NAME" help:"Server of LLM_UPSTREAMS, as name or name:quirk; may be repeated. By default those of the environment."`
	Version  string   `placeholder:"VERSION" help:"OpenClaw's version, such as 2026.9.4; by default the one that has written the file last. Of the settings it decides which are known."`
	Token    string   `name:"client-token-file" placeholder:"FILE" type:"path" help:"File that holds OpenClaw's token of PROXY_CLIENT_TOKENS."`
	Print    bool     `help:"Print the settings, to put them there by hand, and change nothing."`
}

// Help is shown by --help.
func (openclawConfigureCommand) Help() string {
	return "Changes the provider's address, key, models and what they fall back to, and nothing else: comments, order and layout stay. A file of JSON5 that cannot be edited like this is refused, and left alone. Doing it again changes nothing; restore takes it back."
}

// Run configures OpenClaw and says what is left to do.
func (c *openclawConfigureCommand) Run(term Terminal) error {
	options := openclaw.Options{Base: c.Proxy, Providers: c.Provider, Upstreams: c.Upstream, Version: c.Version}
	if err := config.URL("--proxy", c.Proxy, "http", "https"); err != nil {
		return err
	}
	if len(options.Providers) == 0 {
		options.Providers = configuredProviders(term.Environ)
		options.Upstreams = append(options.Upstreams, configuredUpstreams(term.Environ)...)
	}
	if c.Token != "" {
		text, err := os.ReadFile(c.Token)
		if err != nil {
			return fmt.Errorf("reading the client's token: %w", err)
		}
		options.Token = strings.TrimSpace(string(text))
	}
	if c.Print {
		return printSettings(term, options)
	}
	if err := os.MkdirAll(c.Undo, 0o700); err != nil {
		return fmt.Errorf("making the undo directory: %w", err)
	}
	outcome, err := openclaw.Apply(c.File, c.Undo, options)
	if errors.Is(err, openclaw.ErrJSON5) {
		fmt.Fprintln(term.Stderr, "secbus:", err)
		fmt.Fprintln(term.Stderr, "Put this there by hand, beside what is there:")
		if err := printSettings(Terminal{Stdout: term.Stderr}, options); err != nil {
			return err
		}
		return errors.New("OpenClaw does not go through the proxy yet")
	}
	if err != nil {
		return err
	}
	what := "goes through the proxy already"
	if outcome.Changed {
		what = "goes through the proxy now; the former settings are in " + c.Undo
	}
	return printOutcome(term, c.File+" "+what, outcome.Notes)
}

// configuredProviders are the proxy's, the default one first.
func configuredProviders(environ []string) []string {
	first := config.Lookup(environ, "LLM_API_PROVIDER")
	if first == "" {
		first = "anthropic"
	}
	names := []string{first}
	for _, name := range []string{"anthropic", "openai", "gemini"} {
		key := "LLM_" + strings.ToUpper(name) + "_API_KEY"
		if (config.Lookup(environ, key) != "" || config.Lookup(environ, key+"_FILE") != "") && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// configuredUpstreams are the proxy's further servers, without their URLs.
func configuredUpstreams(environ []string) []string {
	var names []string
	for entry := range strings.SplitSeq(config.Lookup(environ, "LLM_UPSTREAMS"), ",") {
		if name, _, hasURL := strings.Cut(strings.TrimSpace(entry), "="); hasURL {
			names = append(names, name)
		}
	}
	return names
}

func printSettings(term Terminal, options openclaw.Options) error {
	d, err := openclaw.Parse(nil)
	if err != nil {
		return err
	}
	if _, err := openclaw.Configure(d, options); err != nil {
		return err
	}
	_, err = term.Stdout.Write(d.Bytes())
	return err
}

func printOutcome(term Terminal, what string, notes []string) error {
	_, err := fmt.Fprintln(term.Stdout, what)
	for _, note := range notes {
		if err == nil {
			_, err = fmt.Fprintln(term.Stdout, "note:", note)
		}
	}
	return err
}

type openclawRestoreCommand struct{ openclawFile }

// Run takes back what configure did.
func (c *openclawRestoreCommand) Run(term Terminal) error {
	outcome, err := openclaw.Restore(c.File, c.Undo)
	if err != nil {
		return err
	}
	what := "has nothing of ours"
	if outcome.Changed {
		what = "is as it was before configure"
		if len(outcome.Notes) > 0 {
			what = "is as it was before configure, but for what follows"
		}
	}
	return printOutcome(term, c.File+" "+what, outcome.Notes)
}

type openclawKeysCommand struct {
	Dir string `arg:"" optional:"" default:"${default_openclaw}" type:"path" help:"OpenClaw's state directory (${default})."`
	Env string `placeholder:"FILE" type:"path" help:"A file of variables that OpenClaw is started with, too, such as the .env of its compose project."`
}

// Help is shown by --help.
func (openclawKeysCommand) Help() string {
	return "Names files, variables and settings, and shows no key. Once the proxy has the key OpenClaw needs none: what is left there is a way past the proxy. `openclaw secrets audit` also looks into the databases. Exits with 3 if it finds something."
}

// Run names the places.
func (c *openclawKeysCommand) Run(term Terminal) error {
	found, err := openclaw.Keys(c.Dir)
	if err != nil {
		return err
	}
	if c.Env != "" {
		text, err := os.ReadFile(c.Env)
		if err != nil {
			return fmt.Errorf("reading the variables: %w", err)
		}
		for _, name := range openclaw.Variables(text) {
			found = append(found, filepath.Base(c.Env)+": "+name)
		}
	}
	for _, line := range found {
		if _, err := fmt.Fprintln(term.Stdout, line); err != nil {
			return err
		}
	}
	if len(found) > 0 {
		return errMissing
	}
	return nil
}
