package natsd

import (
	"fmt"
	"log/slog"

	"github.com/nats-io/nats-server/v2/server"
)

// logger passes on the server's warnings and errors. A fatal fault, upon which
// the server expects the process to end, goes to whoever is starting it.
type logger struct {
	log   *slog.Logger
	fatal chan string // the first fatal fault
}

var _ server.Logger = (*logger)(nil)

func newLogger(log *slog.Logger) *logger {
	return &logger{log: log, fatal: make(chan string, 1)}
}

func (l *logger) Warnf(format string, v ...any) {
	l.log.Warn("NATS server", "text", fmt.Sprintf(format, v...))
}

func (l *logger) Errorf(format string, v ...any) {
	l.log.Error("NATS server", "text", fmt.Sprintf(format, v...))
}

func (l *logger) Fatalf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	select {
	case l.fatal <- text:
	default:
		l.log.Error("NATS server", "text", text)
	}
}

func (*logger) Noticef(string, ...any) {}
func (*logger) Debugf(string, ...any)  {}
func (*logger) Tracef(string, ...any)  {}
