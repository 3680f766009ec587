package planner

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/notifier/internal/delivery/store"
	"github.com/openclaw-security/bus/services/notifier/internal/sink"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// said is what the planner's messages say in these tests.
type said struct {
	Level   int
	Titles  []string
	Total   int
	Notices []string
	Silent  bool
}

func render(b sink.Batch, level int) (sink.Message, bool) {
	if level > 1 {
		return nil, false
	}
	s := said{Level: level, Notices: b.Notices, Silent: b.Silent}
	for _, a := range b.Alerts {
		s.Titles = append(s.Titles, a.Event.Title)
		s.Total += a.Count
	}
	if b.Digest != nil {
		s.Total = b.Digest.Total
		for _, g := range b.Digest.Groups {
			s.Titles = append(s.Titles, g.Rule)
		}
	}
	m, err := json.Marshal(s)
	return m, err == nil
}

// newPlanner returns a planner after that many attempts, the last one just ended,
// with n alerts of each severity, in the order given.
func newPlanner(attempts int, alerts ...any) *Planner {
	p := &Planner{
		Queues:  [2]*Queue{new(Queue), new(Queue)},
		Limiter: NewLimiter(sink.Limits{PerMinute: 10, Gap: time.Second}),
		State:   &store.State{},
		Render:  render,
		Quiet:   func(at time.Time) bool { return at.Hour() >= 22 },
	}
	for range attempts {
		p.Limiter.Begin(noon)
	}
	sequence := uint64(0)
	for i := 0; i < len(alerts); i += 2 {
		severity, n := alerts[i].(proto.Severity), alerts[i+1].(int)
		for range n {
			sequence++
			lane := Routine
			if severity >= proto.SeverityHigh {
				lane = Urgent
			}
			title := fmt.Sprintf("%s%d", severity, sequence)
			p.Queues[lane].Add(&bus.Msg{Stream: stream, Sequence: sequence, Stored: noon.Add(-time.Minute)}, store.Hash(title), event(severity, title))
		}
	}
	return p
}

func TestNext(t *testing.T) {
	const critical, high, medium = proto.SeverityCritical, proto.SeverityHigh, proto.SeverityMedium
	const calm = window / 10 // between two attempts of an even pace
	withNote := func(p *Planner) *Planner {
		p.State.Notes.Add("the chat has moved")
		return p
	}
	waited := func(p *Planner, messages int) *Planner {
		p.requestPassed = messages
		return p
	}
	for _, test := range []struct {
		name     string
		planner  *Planner
		requests int
		job      Job
		wait     time.Duration
		hurry    bool
	}{
		{"nothing waits", newPlanner(0), 0, Nothing, 0, false},
		{"a few urgent alerts", newPlanner(1, high, 6), 0, Alerts, time.Second, false},
		{"many urgent alerts", newPlanner(1, high, 7), 0, Alerts, calm, false},
		{"critical ones among many", newPlanner(1, high, 7, critical, 1), 0, Alerts, time.Second, true},
		{"many critical ones", newPlanner(1, critical, 7), 0, Alerts, calm, false},
		{"routine alerts", newPlanner(1, medium, 1), 0, Alerts, calm, false},
		{"the window has one attempt left, for what is urgent", newPlanner(9, medium, 1), 0, Alerts, window, false},
		{"and that is taken by what is urgent", newPlanner(9, high, 1), 0, Alerts, time.Second, false},
		{"the window is full", newPlanner(10, critical, 1), 0, Alerts, window, false},
		{"a request", newPlanner(1), 1, Request, time.Second, false},
		{"a request goes before routine alerts", newPlanner(1, medium, 9), 1, Request, time.Second, false},
		{"a request goes after urgent ones", newPlanner(1, high, 1), 1, Alerts, time.Second, false},
		{"but not for ever", waited(newPlanner(1, high, 1), 9), 1, Request, time.Second, false},
		{"a note", withNote(newPlanner(1)), 0, Notices, calm, false},
		{"alerts take notes along", withNote(newPlanner(1, high, 1)), 0, Alerts, time.Second, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			job, at, hurry := test.planner.Next(test.requests)
			wait := time.Duration(0)
			if job != Nothing {
				wait = max(0, at.Sub(noon))
			}
			if job != test.job || wait != test.wait || hurry != test.hurry {
				t.Errorf("job %d in %s, hurry %t; want %d in %s, %t", job, wait, hurry, test.job, test.wait, test.hurry)
			}
		})
	}
}

func TestPlanAlerts(t *testing.T) {
	const critical, high, medium = proto.SeverityCritical, proto.SeverityHigh, proto.SeverityMedium
	passed := func(p *Planner, messages int) *Planner {
		p.State.Passed = messages
		return p
	}
	for _, test := range []struct {
		name    string
		planner *Planner
		want    []string // kind and titles, or their number, of each message until nothing waits
	}{
		{"few while the rate allows for plenty", newPlanner(0, high, 3), []string{"cards high1", "cards high2", "cards high3"}},
		{"few while it does not", newPlanner(4, high, 3), []string{"cards high1 high2 high3"}},
		{"more than few", newPlanner(0, high, 4), []string{"cards high1 high2 high3 high4"}},
		{"both lanes", newPlanner(4, high, 2, medium, 2), []string{"cards high1 high2 medium3 medium4"}},
		{"the most severe first", newPlanner(0, high, 1, critical, 1), []string{"cards critical2", "cards high1"}},
		{"many", newPlanner(0, high, 7), []string{"digest of 7"}},
		{"critical ones go before many", newPlanner(0, high, 7, critical, 2), []string{"cards critical8 critical9", "digest of 7"}},
		{"many critical ones are a digest", newPlanner(0, critical, 7, high, 1, medium, 9), []string{"digest of 17"}},
		{"urgent ones before many routine ones", newPlanner(4, medium, 7, high, 2), []string{"cards high8 high9", "digest of 7"}},
		{"routine ones have their turn", passed(newPlanner(4, medium, 7, high, 2), 9), []string{"digest of 9"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := test.planner
			var got []string
			for !p.Queues[Urgent].Empty() || !p.Queues[Routine].Empty() {
				plan, members := p.PlanAlerts(noon, 0)
				var s said
				if err := json.Unmarshal(plan.Messages[0], &s); err != nil {
					t.Fatal(err)
				}
				text := strings.Join(append([]string{string(plan.Kind)}, s.Titles...), " ")
				if plan.Kind == proto.DeliveryDigest {
					text = fmt.Sprintf("digest of %d", s.Total)
				}
				got = append(got, text)
				if len(plan.Messages) != 2 || plan.Alerts != s.Total || len(plan.Keys) != s.Total || len(members) != s.Total || !plan.OfAlerts() {
					t.Errorf("plan %+v of %d alerts", plan, s.Total)
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("messages %q, want %q", got, test.want)
			}
		})
	}
}

func TestPlans(t *testing.T) {
	night := noon.Add(11 * time.Hour)
	p := newPlanner(0, proto.SeverityHigh, 1)
	p.Queues[Urgent].Add(&bus.Msg{Stream: "ALERTS_b", Sequence: 1, Stored: noon}, store.Hash("later"), event(proto.SeverityHigh, "later"))
	p.State.Notes.Add("the chat has moved")
	plan, members := p.PlanAlerts(night, 1)
	if !slices.Equal(plan.Ranges, store.Ranges{{Stream: stream, First: 1, Last: 1}}) || !plan.Oldest.Equal(noon.Add(-time.Minute)) || len(members) != 1 {
		t.Errorf("the first plan is %+v", plan)
	}
	if text := string(plan.Messages[0]); !strings.Contains(text, "the chat has moved") || !strings.Contains(text, `"Silent":true`) || p.State.Notes.Due() {
		t.Errorf("it says %s, and %+v is left to say", text, p.State.Notes)
	}
	plan, _ = p.PlanAlerts(night, 1)
	if !slices.Equal(plan.Ranges, store.Ranges{{Stream: "ALERTS_b", First: 1, Last: 1}}) || !slices.Equal(plan.Keys, store.Keys{store.Hash("later")}) || p.requestPassed != 2 {
		t.Errorf("the second plan is %+v; a request has waited for %d messages", plan, p.requestPassed)
	}

	b := sink.Batch{Kind: proto.DeliveryReplay, Alerts: []sink.Alert{{Event: event(proto.SeverityCritical, "again"), Count: 3}}}
	plan = p.PlanRequest(store.Hash("request"), b)
	if plan.Alerts != 3 || plan.Severities.Critical != 3 || plan.OfAlerts() || !slices.Equal(plan.Keys, store.Keys{store.Hash("request")}) || p.requestPassed != 0 {
		t.Errorf("the plan of a request is %+v", plan)
	}
	p.State.Notes.Add("the topic is gone")
	if plan = p.PlanNotices(noon); plan.Kind != proto.DeliveryNotice || !strings.Contains(string(plan.Messages[0]), "the topic is gone") || plan.OfAlerts() {
		t.Errorf("the plan of a notice is %+v", plan)
	}
	p.Render = func(sink.Batch, int) (sink.Message, bool) { return nil, false }
	if plan = p.PlanNotices(noon); len(plan.Messages) != 0 {
		t.Errorf("a chat without a form gets %s", plan.Messages)
	}
	p.Render = func(_ sink.Batch, level int) (sink.Message, bool) {
		return make(sink.Message, store.MaxMessages/2), level < 3
	}
	if plan = p.PlanNotices(noon); len(plan.Messages) != 2 {
		t.Errorf("%d forms are stored, where two fit", len(plan.Messages))
	}
}
