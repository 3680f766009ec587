package mapping

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/openclaw-security/bus/services/internal/expr"
)

// clock reads a record's time.
type clock struct {
	from    *expr.Expr
	layouts []layout
}

// layout reads one way of writing a time; the zero time means that it is not
// written in that way.
type layout func(text string) time.Time

// units are the layouts that count since 1970, with the length of a unit.
var units = map[string]time.Duration{
	"unix":    time.Second,
	"unix_ms": time.Millisecond,
	"unix_ns": time.Nanosecond,
}

// newLayout returns the layout of a name, or of an example of Go's reference
// time.
func newLayout(name string) (layout, error) {
	if unit, ok := units[name]; ok {
		return func(text string) time.Time { return since1970(text, unit) }, nil
	}
	if name == "rfc3339" {
		name = time.RFC3339Nano
	} else if err := checkLayout(name); err != nil {
		return nil, err
	}
	return func(text string) time.Time {
		t, err := time.Parse(name, text)
		if err != nil {
			return time.Time{}
		}
		return t
	}, nil
}

// checkLayout finds out whether a layout says all of a time, to the second.
func checkLayout(name string) error {
	want := time.Date(2019, 8, 17, 21, 34, 56, 0, time.UTC)
	if got, err := time.Parse(name, want.Format(name)); err != nil || !got.Equal(want) {
		return errors.New("must be rfc3339, unix, unix_ms, unix_ns, or Go's reference time (2006-01-02 15:04:05) in the log's own way of writing, with date and time to the second")
	}
	return nil
}

// read is the time that v stands for, in the first layout that it is written in.
func (c *clock) read(v any) time.Time {
	text, _ := textOf(v)
	for _, layout := range c.layouts {
		if t := layout(text); !t.IsZero() {
			return t
		}
	}
	return time.Time{}
}

// since1970 reads a decimal number of units without going through a float,
// which would spoil the microseconds. What is finer than a nanosecond is cut
// off; negative numbers and exponents are not times.
func since1970(text string, unit time.Duration) time.Time {
	whole, fraction, _ := strings.Cut(text, ".")
	n, err := strconv.ParseUint(whole, 10, 64)
	if err != nil || strings.Trim(fraction, "0123456789") != "" {
		return time.Time{}
	}
	perSecond := uint64(time.Second / unit)
	seconds, rest := n/perSecond, n%perSecond*uint64(unit)
	if seconds > math.MaxInt64 {
		return time.Time{}
	}
	for _, digit := range fraction {
		unit /= 10
		rest += uint64(digit-'0') * uint64(unit)
	}
	return time.Unix(int64(seconds), int64(rest))
}
