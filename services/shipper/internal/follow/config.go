package follow

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"time"
)

// Start says where to begin when there is no checkpoint.
type Start uint8

const (
	// Beginning reads the current file from its first line.
	Beginning Start = iota
	// End reads only what is written from now on.
	End
)

// Config says what to follow and how. Zero fields take their defaults.
type Config struct {
	// Path is the file to follow, or a pattern of filepath.Match in its last
	// element ("/var/log/suricata/eve.*.json"). A symbolic link is followed to
	// wherever it points at the time. At most MaxFiles files are followed at once,
	// for a checkpoint holds no more.
	Path string
	// RotatedDir is where else rotated files are moved to, relative to the
	// directory of Path unless absolute; empty means nowhere.
	RotatedDir string
	// From is the checkpoint to go on from; zero means none.
	From Checkpoint
	// StoredAt is when the message that carried From was stored. It is used
	// only if From has no Settled time and names a generation that no longer
	// exists: rotated files last modified before it then count as read.
	StoredAt time.Time
	// Start applies without a checkpoint. Rotated files are not read then; among
	// names that a pattern matches and that differ only in a date, all but the
	// newest count as rotated.
	Start Start
	// MaxLine is the longest line in bytes returned whole, at least 512. Default
	// 1 MiB.
	MaxLine int
	// MaxBatchBytes bounds the text in one batch of several lines. Default 1 MiB.
	MaxBatchBytes int
	// Own reports whether a line is a record of the log's writer. Files whose names leave
	// it open whether they are rotated ones are read only if most of their first and last
	// lines are; nil means that every line is.
	Own func(line []byte) bool
	// PollInterval is how often the files are looked at when no notification
	// comes first. Default 250 ms.
	PollInterval time.Duration
	// PollOnly does without notifications of the operating system, as on file
	// systems that have none.
	PollOnly bool
	// Grace is how long a rotated file must be left alone before it counts as
	// ended. Default 5 s.
	Grace time.Duration
	// Logger receives rotations, truncations and gaps. Default: nothing is
	// logged.
	Logger *slog.Logger
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// MaxFiles is how many files that are being written one Follower follows. More at
// the start are refused; those that come later wait until others are gone.
const MaxFiles = 120

const (
	defaultMaxLine      = 1 << 20
	defaultBatchBytes   = 1 << 20
	defaultPollInterval = 250 * time.Millisecond
	defaultGrace        = 5 * time.Second
	// minMaxLine leaves room for the tail within a line that is too long.
	minMaxLine = 2 * tailSize
)

func (c Config) withDefaults() Config {
	if c.MaxLine == 0 {
		c.MaxLine = defaultMaxLine
	}
	if c.MaxBatchBytes == 0 {
		c.MaxBatchBytes = defaultBatchBytes
	}
	if c.PollInterval == 0 {
		c.PollInterval = defaultPollInterval
	}
	if c.Grace == 0 {
		c.Grace = defaultGrace
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Validate reports every fault of c at once, each by its field.
func (c Config) Validate() error {
	var errs []error
	fault := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %w", field, fmt.Errorf(format, args...)))
	}
	dir, base := filepath.Split(c.Path)
	switch _, err := filepath.Match(base, ""); {
	case c.Path == "":
		fault("Path", "is required")
	case base == "":
		fault("Path", "%q is a directory", c.Path)
	case err != nil:
		fault("Path", "%q: %w", c.Path, err)
	case hasMeta(dir):
		fault("Path", "%q: a pattern may stand in the last element only", c.Path)
	}
	for _, p := range c.From.Positions {
		if err := p.validate(); err != nil {
			fault("From", "%w", err)
		}
	}
	if c.Start > End {
		fault("Start", "%d is neither Beginning nor End", c.Start)
	}
	if c.MaxLine != 0 && c.MaxLine < minMaxLine {
		fault("MaxLine", "%d is less than %d", c.MaxLine, minMaxLine)
	}
	for _, f := range []struct {
		name  string
		value int64
	}{
		{"MaxBatchBytes", int64(c.MaxBatchBytes)},
		{"PollInterval", int64(c.PollInterval)},
		{"Grace", int64(c.Grace)},
	} {
		if f.value < 0 {
			fault(f.name, "must not be negative")
		}
	}
	return errors.Join(errs...)
}

// hasMeta reports whether path holds a character that filepath.Match treats
// specially.
func hasMeta(path string) bool { return strings.ContainsAny(path, `*?[\`) }
