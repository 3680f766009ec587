package notifier

import (
	"os"

	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/render"
	"github.com/openclaw-security/bus/services/notifier/internal/sink/stdout"
)

// Config says what the notifier delivers and how.
type Config struct {
	NATS   config.NATS
	Alert  config.Alert
	Format string `env:"NOTIFIER_FORMAT, default=auto" doc:"How alerts are printed: card, line, json, or auto for cards on a terminal and lines elsewhere."`

	// Out is where alerts are printed; nil for the process's standard output.
	Out *os.File
}

// Validate implements the check that [config.Load] makes.
func (c Config) Validate() error {
	return config.OneOf("NOTIFIER_FORMAT", c.Format, "auto", string(stdout.FormatCard), string(stdout.FormatLine), string(stdout.FormatJSON))
}

func (c Config) sink() *stdout.Sink {
	out := c.Out
	if out == nil {
		out = os.Stdout
	}
	format := stdout.Format(c.Format)
	if c.Format == "auto" {
		format = stdout.FormatLine
		if render.IsTerminal(out) {
			format = stdout.FormatCard
		}
	}
	return stdout.New(out, format, render.ForFile(out, os.LookupEnv))
}
