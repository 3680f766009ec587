package trail

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"

	"github.com/openclaw-security/bus/proto"
)

// Kinds of the events.
const (
	KindFirstSeen  = "first-seen"
	KindTokenBurst = "token-burst"
)

// Source is the source of the events.
const Source = "auditor"

// A watch tells of new tools once it has seen both.
const (
	LearningTime     = 24 * time.Hour
	LearningRequests = 100
)

// An hour's tokens, of input and output, are a burst if there are more than
// BurstFloor, and more than BurstFactor times the median of the hours of the last
// BurstWindow in which there were any. Hours are those of UTC, by the clock. It
// takes BurstHours such hours to compare with.
const (
	BurstFloor  = 200_000
	BurstFactor = 5
	BurstWindow = 7 * 24 * time.Hour
	BurstHours  = 24
)

// maxPairs bounds the pairs of client and tool that a watch knows; both are words
// from outside. Beyond it, the pair that was longest unused is forgotten, and
// would be new again.
const maxPairs = 4096

// maxNamed is how many new tools an event names.
const maxNamed = 20

// Use is a tool that a client has called.
type Use struct {
	Client, Tool string
	Last         time.Time
}

// State is what a watch knows of the past.
type State struct {
	First    time.Time // record of all; zero if there is none
	Requests int64     // that ended
	Uses     []Use
	Hours    map[time.Time]int64 // tokens, of input and output, by the hour's beginning
}

type pair struct{ client, tool string }

// Watch follows the records of ended requests. It is for one goroutine.
type Watch struct {
	host     string
	first    time.Time
	requests int64
	uses     map[pair]time.Time // when last called
	hours    map[time.Time]int64
	hour     time.Time // the current one
	told     time.Time // the last hour that a burst was told of
}

// New returns a watch on host that knows past. An hour that was a burst already is
// told of once more, as the same event.
func New(host string, past State) *Watch {
	w := &Watch{host: host, first: past.First, requests: past.Requests, uses: make(map[pair]time.Time), hours: make(map[time.Time]int64)}
	for _, u := range past.Uses {
		w.use(pair{u.Client, u.Tool}, u.Last)
	}
	for hour, tokens := range past.Hours {
		w.spend(hour, tokens)
	}
	return w
}

// End takes in the record of a request's end, which the stream stored at that
// time, and returns what there is to tell of it.
func (w *Watch) End(stored time.Time, a *proto.Audit) []*proto.Event {
	stored = stored.UTC()
	if w.first.IsZero() {
		w.first = stored
	}
	w.requests++
	var events []*proto.Event
	learning := w.requests <= LearningRequests || stored.Sub(w.first) < LearningTime
	if tools := w.newTools(stored, a); len(tools) > 0 && !learning {
		events = append(events, w.firstSeen(stored, a, tools))
	}
	if a.Usage == nil {
		return events
	}
	w.spend(stored, bounded(a.Usage.Input)+bounded(a.Usage.Output))
	if tokens, median, burst := w.burst(); burst {
		w.told = w.hour
		events = append(events, w.tokenBurst(stored, tokens, median))
	}
	return events
}

// bounded keeps a forged count from overflowing the sum.
func bounded(tokens int64) int64 { return min(max(tokens, 0), 1<<40) }

// newTools are the tools that the client has not called before, each once.
func (w *Watch) newTools(at time.Time, a *proto.Audit) []string {
	var tools []string
	for _, c := range a.ToolCalls {
		p := pair{a.Client, cmp.Or(c.Name, "unnamed")}
		if _, known := w.uses[p]; !known {
			tools = append(tools, p.tool)
		}
		w.use(p, at)
	}
	return tools
}

func (w *Watch) use(p pair, at time.Time) {
	last, known := w.uses[p]
	if !known && len(w.uses) >= maxPairs {
		w.forgetOldest()
	}
	if !known || at.After(last) {
		w.uses[p] = at
	}
}

func (w *Watch) forgetOldest() {
	var oldest pair
	var since time.Time
	for p, last := range w.uses {
		if since.IsZero() || last.Before(since) {
			oldest, since = p, last
		}
	}
	delete(w.uses, oldest)
}

// spend counts tokens in their hour, and forgets hours that are past comparing.
func (w *Watch) spend(at time.Time, tokens int64) {
	hour := at.UTC().Truncate(time.Hour)
	if hour.After(w.hour) {
		w.hour = hour
		for h := range w.hours {
			if hour.Sub(h) > BurstWindow {
				delete(w.hours, h)
			}
		}
	}
	if w.hour.Sub(hour) <= BurstWindow {
		w.hours[hour] += tokens
	}
}

// burst compares the current hour with those before it.
func (w *Watch) burst() (tokens, median int64, burst bool) {
	tokens = w.hours[w.hour]
	if tokens <= BurstFloor || w.told.Equal(w.hour) {
		return tokens, 0, false
	}
	var before []int64
	for hour, n := range w.hours {
		if hour.Before(w.hour) && n > 0 {
			before = append(before, n)
		}
	}
	if len(before) < BurstHours {
		return tokens, 0, false
	}
	slices.Sort(before)
	median = before[len(before)/2]
	return tokens, median, (tokens-1)/BurstFactor >= median // without overflow: tokens > BurstFactor * median
}

func (w *Watch) firstSeen(at time.Time, a *proto.Audit, tools []string) *proto.Event {
	count := len(tools)
	tools = tools[:min(count, maxNamed)]
	return w.event(KindFirstSeen, a.RequestID, at, proto.SeverityLow, firstSeenTitle(a.Client, tools, count),
		&proto.Rule{ID: KindFirstSeen, Name: "Tool called for the first time", Category: "Audit"},
		struct {
			RequestID string   `json:"request_id"`
			Client    string   `json:"client"`
			Model     string   `json:"model"`
			Tools     []string `json:"tools"`
			Count     int      `json:"count"`
		}{a.RequestID, a.Client, cmp.Or(a.ResponseModel, a.RequestModel), tools, count})
}

func (w *Watch) tokenBurst(at time.Time, tokens, median int64) *proto.Event {
	return w.event(KindTokenBurst, w.hour.Format(time.RFC3339)+" "+w.host, at, proto.SeverityMedium, burstTitle(tokens, median),
		&proto.Rule{ID: KindTokenBurst, Name: "Far more tokens than in other hours", Category: "Audit"},
		struct {
			Hour   time.Time `json:"hour"`
			Tokens int64     `json:"tokens"`
			Median int64     `json:"median"`
			Factor int       `json:"factor"`
			Floor  int64     `json:"floor"`
		}{w.hour, tokens, median, BurstFactor, BurstFloor})
}

func (w *Watch) event(kind, about string, at time.Time, severity proto.Severity, title string, rule *proto.Rule, raw any) *proto.Event {
	e := &proto.Event{
		ID:       proto.AuditID(about, proto.Phase(kind)),
		Time:     at,
		Host:     w.host,
		Source:   Source,
		Kind:     kind,
		ClassUID: proto.ClassUIDDetectionFinding,
		Title:    title,
		Rule:     rule,
	}
	e.SetSeverity(severity)
	if text, err := json.Marshal(raw); err == nil { // strings and numbers always can be encoded
		e.Raw = text
	}
	return e
}
