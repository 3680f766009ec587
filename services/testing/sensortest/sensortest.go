// Package sensortest plays recorded sensor output into files, as the sensors
// would have written it: line by line, with the pauses between them, at today's
// date. It knows nothing of the bus; what follows the files cannot tell it from a
// sensor.
package sensortest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"time"

	"github.com/openclaw-security/bus/services/internal/retry"
)

// Pace bounds the pauses between two lines. The recordings pause for up to 40
// seconds while the sensors wait for flows to time out, and some of their lines
// share one time; a person watching wants neither.
type Pace struct {
	Min, Max time.Duration
}

// Recording is what a sensor wrote, and where to write it again.
type Recording struct {
	Path  string // created if it does not exist
	Lines []byte // newline terminated
	Pace  Pace
}

// suricataTime is the layout of EVE's timestamp.
const suricataTime = "2006-01-02T15:04:05.000000-0700"

// stamp matches the record's own time, which both sensors write first: EVE and
// Tracee's v1beta1 as a string, Tracee 0.24 as Unix nanoseconds.
var stamp = regexp.MustCompile(`^\{"timestamp":("[^"]*"|[0-9]+)`)

// Play appends the recording's lines to its file, each with the time at which
// it is written in place of the one at which it was recorded. It returns how
// many lines it has written.
func (r Recording) Play(ctx context.Context) (lines int, err error) {
	f, err := os.OpenFile(r.Path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return 0, fmt.Errorf("opening the file to play into: %w", err)
	}
	defer func() {
		if closeErr := f.Close(); err == nil && closeErr != nil {
			err = fmt.Errorf("closing the played file: %w", closeErr)
		}
	}()

	var before time.Time
	for line := range bytes.Lines(r.Lines) {
		at, layout, err := timeOf(line)
		if err != nil {
			return lines, fmt.Errorf("playing line %d: %w", lines+1, err)
		}
		if !before.IsZero() {
			pause := min(max(at.Sub(before), r.Pace.Min), r.Pace.Max)
			if err := retry.Sleep(ctx, pause); err != nil {
				return lines, err
			}
		}
		before = at
		if _, err := f.Write(restamp(line, time.Now(), layout)); err != nil {
			return lines, fmt.Errorf("playing line %d: %w", lines+1, err)
		}
		lines++
	}
	return lines, nil
}

// unixNano stands for the layout of a time that is a number of nanoseconds.
const unixNano = ""

// timeOf reads when a line was recorded and in which layout it says so.
func timeOf(line []byte) (at time.Time, layout string, err error) {
	m := stamp.FindSubmatch(line)
	if m == nil {
		return time.Time{}, "", fmt.Errorf("no timestamp at the start of %.40q", line)
	}
	if m[1][0] != '"' {
		ns, err := strconv.ParseInt(string(m[1]), 10, 64)
		if err != nil {
			return time.Time{}, "", fmt.Errorf("reading the timestamp: %w", err)
		}
		return time.Unix(0, ns), unixNano, nil
	}
	text := string(bytes.Trim(m[1], `"`))
	for _, layout := range []string{suricataTime, time.RFC3339Nano} {
		if at, err = time.Parse(layout, text); err == nil {
			return at, layout, nil
		}
	}
	return time.Time{}, "", fmt.Errorf("reading the timestamp: %w", err)
}

// restamp returns a copy of line with its time replaced by at.
func restamp(line []byte, at time.Time, layout string) []byte {
	m := stamp.FindSubmatchIndex(line)
	out := append([]byte(nil), line[:m[2]]...)
	if layout == unixNano {
		out = strconv.AppendInt(out, at.UnixNano(), 10)
	} else {
		out = strconv.AppendQuote(out, at.UTC().Format(layout))
	}
	return append(out, line[m[3]:]...)
}
