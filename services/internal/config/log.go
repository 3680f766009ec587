package config

import "errors"

// Log says what a service logs and how.
type Log struct {
	Level  string `env:"LOG_LEVEL, default=info" doc:"Least severe level that is logged: debug, info, warn or error."`
	Format string `env:"LOG_FORMAT, default=auto" doc:"text, json, or auto for text on a terminal and JSON otherwise."`
}

// Validate implements the check that [Load] makes.
func (l Log) Validate() error {
	return errors.Join(
		OneOf("LOG_LEVEL", l.Level, "debug", "info", "warn", "error"),
		OneOf("LOG_FORMAT", l.Format, "auto", "text", "json"),
	)
}
