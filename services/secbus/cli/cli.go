// Package cli is the operator's one command: it runs the whole bus in one
// process, shows what passes over it, and says what is missing.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/alecthomas/kong"

	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/daemon"
	"github.com/openclaw-security/bus/services/internal/service"
	"github.com/openclaw-security/bus/services/shipper"
)

// Exit codes.
const (
	exitOK      = 0
	exitFailed  = 1 // the command could not do its work
	exitUsage   = 2 // the command line or a setting is wrong
	exitMissing = 3 // `status`, `doctor` or `audit verify` found something
)

const description = `The OpenClaw security bus: what the agent does, on NATS JetStream.

Exit codes: 0 done; 1 failed; 2 wrong command line or setting; 3 something is missing or wrong (status, doctor, audit verify).`

type commands struct {
	embeddedCommands
	Tail      tailCommand      `cmd:"" help:"Show events as they are stored, and with --since those before."`
	Replay    replayCommand    `cmd:"" help:"Show or send stored events again. Changes nothing that is stored."`
	Status    statusCommand    `cmd:"" help:"Show streams, consumers and sources, and say what is missing."`
	Trace     traceCommand     `cmd:"" help:"Show what became of one event."`
	Audit     auditCommand     `cmd:"" help:"Read and verify the log of LLM requests."`
	Notify    notifyCommand    `cmd:"" help:"Try out the chats."`
	Silence   silenceCommand   `cmd:"" help:"Keep alerts from being sent for a time."`
	Dead      deadCommand      `cmd:"" help:"Look at what could not be delivered, and try it again."`
	Openclaw  openclawCommand  `cmd:"" name:"openclaw" help:"Write OpenClaw's configuration, and take that back."`
	Doctor    doctorCommand    `cmd:"" help:"Check every hop from the sensors to the chat."`
	Posture   postureCommand   `cmd:"" help:"Make events of what OpenClaw's own security audit finds."`
	Rules     rulesCommand     `cmd:"" help:"Try out local rules."`
	Keys      keysCommand      `cmd:"" help:"Make the keys of all roles for a NATS server of its own."`
	Provision provisionCommand `cmd:"" help:"Create or migrate the streams and consumers of a NATS server."`
	Version   versionCommand   `cmd:"" help:"Print the version."`
}

// Terminal is where a command reads its settings and writes its output.
type Terminal struct {
	Stdin   *os.File
	Stdout  *os.File
	Stderr  *os.File
	Environ []string
}

// errMissing makes the process exit with exitMissing; what is missing has been
// printed.
var errMissing = errors.New("something is missing")

// Run executes one command line about the services of a table and returns the
// exit code.
func Run(ctx context.Context, args []string, term Terminal, table []service.Spec) int {
	var cmd commands
	exit := -1
	parser, err := kong.New(&cmd,
		kong.Name("secbus"),
		kong.Description(description),
		kong.Writers(term.Stdout, term.Stderr),
		kong.Exit(func(code int) { exit = code }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(term, table),
		kong.BindTo(shipper.RuleStage{Log: slog.New(slog.NewTextHandler(term.Stderr, nil))}, (*ruleStage)(nil)),
		kong.Vars{"default_data": defaultDataDir(), "default_openclaw": defaultOpenClaw()},
	)
	if err != nil {
		fmt.Fprintln(term.Stderr, "secbus:", err)
		return exitFailed
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := parser.Parse(args)
	if exit >= 0 { // --help has printed
		return exit
	}
	if err != nil {
		fmt.Fprintf(term.Stderr, "secbus: %v\nTry: secbus --help\n", err)
		return exitUsage
	}
	return exitCode(parsed.Run(), term.Stderr)
}

// exitCode prints err for a person and picks the exit code.
func exitCode(err error, stderr io.Writer) int {
	var settings *config.Errors
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errMissing):
		return exitMissing
	case errors.As(err, &settings):
		fmt.Fprintln(stderr, "secbus:", err)
		return exitUsage
	default:
		fmt.Fprintln(stderr, "secbus:", err)
		return exitFailed
	}
}

type versionCommand struct {
	JSON bool `help:"Print as JSON."`
}

// Run prints the version.
func (c *versionCommand) Run(term Terminal) error {
	if c.JSON {
		return printJSON(term.Stdout, map[string]string{"version": daemon.Version()})
	}
	_, err := fmt.Fprintln(term.Stdout, "secbus", daemon.Version())
	return err
}
