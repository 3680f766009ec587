package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/progress"
	"github.com/openclaw-security/bus/services/internal/render"
	"github.com/openclaw-security/bus/services/internal/service"
)

type statusCommand struct {
	targetFlags
	JSON bool `help:"Print as JSON."`
}

// Help is shown by --help.
func (statusCommand) Help() string {
	return "Exits with 3 if something is missing: a stream or a consumer that is not provisioned, a consumer that nobody fetches from, alerts that were removed before they were delivered, a sensor that nothing has come from, or a source that is dead, cannot publish or is started again and again."
}

// Run prints the state of the bus.
func (c *statusCommand) Run(ctx context.Context, term Terminal, table []service.Spec) error {
	d := service.NewDeployment(term.Environ)
	layout, err := service.Join(table, d)
	if err != nil {
		return err
	}
	conn, err := c.connect(ctx, bus.RoleOperator, term)
	if err != nil {
		return err
	}
	defer conn.Close()
	s, err := readStatus(ctx, conn, layout, service.Expected(service.Sources(table, d)), time.Now())
	if err != nil {
		return err
	}
	if c.JSON {
		err = printJSON(term.Stdout, s)
	} else {
		err = s.print(term.Stdout)
	}
	if err == nil && len(s.Missing) > 0 {
		err = errMissing
	}
	return err
}

// status is the state of the bus, as --json prints it.
type status struct {
	Streams   []streamStatus   `json:"streams"`
	Consumers []consumerStatus `json:"consumers"`
	Sources   []sourceStatus   `json:"sources"`
	Missing   []string         `json:"missing"` // in words; empty if all is there
}

type streamStatus struct {
	Name     string     `json:"name"`
	Messages uint64     `json:"messages"`
	Bytes    uint64     `json:"bytes"`
	MaxBytes int64      `json:"max_bytes"`
	Oldest   *time.Time `json:"oldest,omitempty"`
	Newest   *time.Time `json:"newest,omitempty"`
}

type consumerStatus struct {
	Name    string `json:"name"`
	Stream  string `json:"stream"`
	Pending uint64 `json:"pending"` // not delivered yet
	Unacked int    `json:"unacked"` // delivered, not acknowledged yet
	Active  bool   `json:"active"`  // somebody is fetching
	Evicted uint64 `json:"evicted"` // removed before they were acknowledged
}

type sourceStatus struct {
	Host       string    `json:"host"`
	Source     string    `json:"source"`
	LastStored time.Time `json:"last_stored"`
	LastKind   string    `json:"last_kind"`
	AgeSeconds float64   `json:"age_seconds"`
	Checkpoint string    `json:"checkpoint,omitempty"`
}

// readStatus asks the bus, on which there is to be what layout says and to which
// the sensors are expected to report, for its state as of now.
func readStatus(ctx context.Context, conn *bus.Conn, layout service.Layout, sensors []string, now time.Time) (*status, error) {
	o, err := conn.Overview(ctx, layout.Streams...)
	if err != nil {
		return nil, err
	}
	s := &status{Missing: []string{}}
	for _, st := range o.Streams {
		s.addStream(st)
	}
	for _, d := range o.Expect(layout.Durables) {
		s.addDurable(d)
	}
	if streams := o.Security(); len(streams) > 0 {
		last, err := conn.LastMessages(ctx, streams...)
		if err != nil {
			return nil, err
		}
		s.addSources(last, sensors, now)
	}
	if slices.ContainsFunc(o.Streams, func(st bus.StreamState) bool { return st.Name == proto.StreamState && st.Err == nil }) {
		beats, err := progress.Beats(ctx, conn)
		if err != nil {
			return nil, err
		}
		for _, a := range progress.Sources(progress.State{Now: o.Now, Beats: beats}, time.Time{}, progress.Late) {
			s.missing("%s: %s", a.Subject, a.Text)
		}
	}
	return s, nil
}

func (s *status) missing(format string, args ...any) {
	s.Missing = append(s.Missing, fmt.Sprintf(format, args...))
}

func (s *status) addStream(st bus.StreamState) {
	if st.Err != nil {
		s.missing("stream %s: %v", st.Name, st.Err)
		return
	}
	entry := streamStatus{Name: st.Name, Messages: st.Messages, Bytes: st.Bytes, MaxBytes: st.MaxBytes}
	if st.Messages > 0 {
		entry.Oldest, entry.Newest = &st.Oldest, &st.Newest
	}
	s.Streams = append(s.Streams, entry)
}

func (s *status) addDurable(d bus.DurableState) {
	if d.Err != nil {
		s.missing("consumer %s: %v", d, d.Err)
		return
	}
	s.Consumers = append(s.Consumers, consumerStatus{
		Name:    d.Name,
		Stream:  d.Stream,
		Pending: d.Progress.Pending,
		Unacked: d.Progress.Unacked,
		Active:  d.Active(),
		Evicted: d.Evicted,
	})
	if d.Unused != "" {
		return
	}
	if !d.Active() {
		s.missing("consumer %s: nobody is fetching from it; %d messages wait", d, d.Progress.Pending)
	}
	if d.Evicted > 0 {
		s.missing("consumer %s: %d messages were removed by the limits of %s before they were acknowledged", d, d.Evicted, d.Stream)
	}
}

func (s *status) addSources(last map[string]*bus.Stored, sensors []string, now time.Time) {
	seen := make(map[string]bool)
	for _, m := range last {
		subject, err := proto.ParseSubject(m.Subject)
		if err != nil {
			continue // LastMessages returns subjects of the bus only
		}
		seen[subject.Source] = true
		s.Sources = append(s.Sources, sourceStatus{
			Host:       subject.Host,
			Source:     subject.Source,
			LastStored: m.Time,
			LastKind:   subject.Kind,
			AgeSeconds: now.Sub(m.Time).Seconds(),
			Checkpoint: proto.SourceCheckpoint(m.Header),
		})
	}
	slices.SortFunc(s.Sources, func(a, b sourceStatus) int {
		return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.Source, b.Source))
	})
	for _, source := range sensors {
		if !seen[source] {
			s.missing("source %s: nothing has come from it yet; is the sensor running, and does its shipper find its file?", source)
		}
	}
}

// print writes the status for a person.
func (s *status) print(w io.Writer) error {
	streams := render.NewTable(w, "STREAM", "MESSAGES", "SIZE", "LIMIT", "OLDEST", "NEWEST")
	for _, st := range s.Streams {
		streams.Row(st.Name, st.Messages, render.Size(st.Bytes), render.Size(uint64(max(st.MaxBytes, 0))), clock(st.Oldest), clock(st.Newest))
	}
	consumers := render.NewTable(w, "CONSUMER", "STREAM", "PENDING", "UNACKED", "ACTIVE")
	for _, c := range s.Consumers {
		consumers.Row(c.Name, c.Stream, c.Pending, c.Unacked, map[bool]string{true: "yes", false: "no"}[c.Active])
	}
	sources := render.NewTable(w, "SOURCE", "HOST", "LAST EVENT", "KIND")
	for _, src := range s.Sources {
		ago := time.Duration(src.AgeSeconds * float64(time.Second)).Round(time.Second)
		sources.Row(src.Source, src.Host, fmt.Sprintf("%s ago", max(ago, 0)), src.LastKind)
	}
	for i, table := range []*render.Table{streams, consumers, sources} {
		if i > 0 {
			fmt.Fprintln(w)
		}
		if err := table.End(); err != nil {
			return err
		}
	}
	if len(s.Missing) == 0 {
		_, err := fmt.Fprintln(w, "\nNothing is missing.")
		return err
	}
	fmt.Fprintln(w, "\nMISSING")
	for _, m := range s.Missing {
		fmt.Fprintln(w, "  -", m)
	}
	return nil
}

func clock(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04:05")
}
