package daemon

import (
	"log/slog"
	"os"

	"golang.org/x/term"

	"github.com/openclaw-security/bus/services/internal/config"
)

// Logger returns a logger to w as cfg says: text where a person reads it, JSON
// where a program does. The zero cfg logs from info on.
func Logger(w *os.File, cfg config.Log) *slog.Logger {
	options := &slog.HandlerOptions{Level: level(cfg.Level)}
	if cfg.Format == "text" || cfg.Format != "json" && term.IsTerminal(int(w.Fd())) {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

func level(name string) slog.Level {
	switch name {
	case "debug":
		return slog.LevelDebug
	case "warn":
		return slog.LevelWarn
	case "error":
		return slog.LevelError
	default:
		return slog.LevelInfo
	}
}
