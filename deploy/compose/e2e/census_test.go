package e2e

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/openclaw-security/bus/proto"
)

// census counts the lines of the sensors in a stream, reading on from where it
// stood.
type census struct {
	stream string
	next   uint64
	lines  map[string][]int // of each source, in the order in which they are stored
	alerts []alert          // that somebody is to be told of
	faults []string         // what should not be there
}

// alert is one that a chat must have been told of.
type alert struct {
	sequence uint64
	subject  string
}

func newCensus(stream string) *census {
	return &census{stream: stream, next: 1, lines: map[string][]int{}}
}

// read takes what has been stored since.
func (c *census) read(ctx context.Context, nc *nats.Conn) error {
	messages, err := readStream(ctx, nc, c.stream, c.next)
	if err != nil {
		return err
	}
	for _, m := range messages {
		c.next = m.sequence + 1
		c.take(m)
	}
	return nil
}

func (c *census) take(m stored) {
	subject, err := proto.ParseSubject(m.subject)
	if err != nil {
		c.faults = append(c.faults, err.Error())
		return
	}
	if subject.Severity >= proto.SeverityMedium {
		c.alerts = append(c.alerts, alert{m.sequence, m.subject})
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
		c.lines[subject.Source] = append(c.lines[subject.Source], *event.Raw.Line)
	}
}

// outOfOrder says where the lines of a source are not each number from 0 in
// steps of step, once and in order; nothing if they are.
func (c *census) outOfOrder(source string, step int) string {
	for i, line := range c.lines[source] {
		if line != i*step {
			return fmt.Sprintf("in %s, behind %d lines of %s in order, comes line %d instead of %d", c.stream, i, source, line, i*step)
		}
	}
	return ""
}
