package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go"

	"github.com/openclaw-security/bus/proto"
)

// census counts the lines of the sensors in streams, reading on from where it
// stood.
type census struct {
	streams []string
	next    map[string]uint64
	last    map[string]int   // line of each stream
	lines   map[string][]int // of each source, sorted
	alerts  []alert          // that a chat must get
	faults  []string         // what should not be there
}

// alert is one that a chat must have got.
type alert struct {
	stream   string
	sequence uint64
	subject  string
}

func newCensus(streams ...string) *census {
	return &census{streams: streams, next: map[string]uint64{}, last: map[string]int{}, lines: map[string][]int{}}
}

// alertStreams are those whose alerts a chat must get.
var alertStreams = proto.AlertStreams(streams())

// read takes what has been stored since.
func (c *census) read(ctx context.Context, nc *nats.Conn) error {
	for _, stream := range c.streams {
		messages, err := readStream(ctx, nc, stream, max(c.next[stream], 1))
		if err != nil {
			return err
		}
		for _, m := range messages {
			c.next[stream] = m.sequence + 1
			c.take(stream, m)
		}
	}
	for _, lines := range c.lines {
		slices.Sort(lines)
	}
	return nil
}

func (c *census) take(stream string, m stored) {
	subject, err := proto.ParseSubject(m.subject)
	if err != nil {
		c.faults = append(c.faults, err.Error())
		return
	}
	if subject.Severity >= proto.SeverityMedium {
		c.alerts = append(c.alerts, alert{stream, m.sequence, m.subject})
	}
	if subject.Kind == proto.KindGap || subject.Kind == proto.KindUnparsed {
		c.faults = append(c.faults, fmt.Sprintf("%s: %s", m.subject, m.data))
		return
	}
	var event struct {
		Raw struct {
			Line *int `json:"e2e_line"`
		} `json:"raw"`
	}
	if err := json.Unmarshal(m.data, &event); err != nil {
		c.faults = append(c.faults, fmt.Sprintf("%s: %v", m.subject, err))
		return
	}
	if event.Raw.Line != nil { // else not of a sensor's line
		if before, ok := c.last[stream]; ok && *event.Raw.Line <= before {
			c.faults = append(c.faults, fmt.Sprintf("in %s, line %d stands behind line %d", stream, *event.Raw.Line, before))
		}
		c.last[stream] = *event.Raw.Line
		c.lines[subject.Source] = append(c.lines[subject.Source], *event.Raw.Line)
	}
}

// incomplete says where the lines of a source are not each number from 0 in
// steps of step, once; nothing if they are. That they are in order in each stream
// is found while they are read.
func (c *census) incomplete(source string, step int) string {
	for i, line := range c.lines[source] {
		if line != i*step {
			return fmt.Sprintf("in %v, behind %d lines of %s comes line %d instead of %d", c.streams, i, source, line, i*step)
		}
	}
	return ""
}
