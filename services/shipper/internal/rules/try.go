package rules

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/shipper/internal/normalize"
)

// maxLine bounds a line of a capture, in bytes; it is the longest that a shipper
// can be set to carry whole.
const maxLine = 1 << 20

// Change is what rules made of a line.
type Change struct {
	Line    int         // counted from 1
	Before  proto.Event // as normalized
	After   proto.Event // as it would be published, unless it is dropped
	Dropped bool
	Rules   []string // that matched
}

// Try normalizes the lines of a capture, applies the engine's rules, and hands
// over each line that a rule matches. It returns the number of lines, and stops
// with the error of each, if it has one.
func (g *Engine) Try(n *normalize.Normalizer, capture io.Reader, each func(*Change) error) (lines int, err error) {
	in := bufio.NewScanner(capture)
	in.Buffer(nil, maxLine)
	for in.Scan() {
		lines++
		c := Change{Line: lines}
		n.Event(&c.Before, in.Bytes(), proto.Origin{})
		c.After = c.Before
		c.After.Tags = slices.Clone(c.Before.Tags)
		if c.Dropped, c.Rules = g.Apply(&c.After); len(c.Rules) == 0 {
			continue
		}
		if err := each(&c); err != nil {
			return lines, err
		}
	}
	if errors.Is(in.Err(), bufio.ErrTooLong) {
		return lines, fmt.Errorf("line %d is longer than %d bytes", lines+1, maxLine)
	}
	return lines, in.Err()
}
