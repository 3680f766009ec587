// Package anomaly watches LLM requests for what has not happened before: a tool
// that a client never called, and an hour that used far more tokens than hours do.
//
//	Record of a request's end ─▶ Watch ─┬─▶ tools of its client: one is new ─▶ Finding "first-seen", low
//	                                    └─▶ tokens of this hour: too many ───▶ Finding "token-burst", medium
//
// Both rules can be checked by hand against `secbus audit`, and neither reports
// anything while it learns: new tools in a watch's first 24 hours and 100 requests,
// and tokens before there are 24 hours to compare with.
//
// A watch is a function of the [State] that it begins with and of its records: it
// reads no clock, keeps nothing on disk and knows no bus. Time is when the stream
// stored a record, which its writer cannot choose.
package anomaly

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/openclaw-security/bus/proto"
)

// Kinds of findings.
const (
	KindFirstSeen  = "first-seen"
	KindTokenBurst = "token-burst"
)

// A watch reports new tools when both have passed.
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

// maxNamed is how many new tools a finding names.
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

// Record is what a watch needs of the record of a request's end.
type Record struct {
	Stored    time.Time // by the stream
	RequestID string
	Client    string
	Model     string
	Tools     []string // that were called, in any order, repetitions included

	InputTokens, OutputTokens int64 // 0 if they were not counted
}

// Finding is an anomaly. Two findings with the same Kind and Key are the same one,
// found again.
type Finding struct {
	Kind     string
	Key      string
	Time     time.Time
	Severity proto.Severity
	Title    string          // for a person; the names in it are foreign text
	Rule     string          // what the rule looks for
	Detail   json.RawMessage // what the rule has compared
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
	burstIn  time.Time // the last hour in which a burst was found
}

// New returns a watch on host that knows past. An hour that was a burst already is
// found once more, with the same key.
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

// Add adds the record of a request's end and returns what is unusual about it.
func (w *Watch) Add(r Record) []Finding {
	r.Stored = r.Stored.UTC()
	if w.first.IsZero() {
		w.first = r.Stored
	}
	w.requests++
	var findings []Finding
	learning := w.requests <= LearningRequests || r.Stored.Sub(w.first) < LearningTime
	if tools := w.newTools(r); len(tools) > 0 && !learning {
		findings = append(findings, firstSeen(r, tools))
	}
	w.spend(r.Stored, bounded(r.InputTokens)+bounded(r.OutputTokens))
	if tokens, median, burst := w.burst(); burst {
		w.burstIn = w.hour
		findings = append(findings, w.tokenBurst(r.Stored, tokens, median))
	}
	return findings
}

// bounded keeps a forged count from overflowing the sum.
func bounded(tokens int64) int64 { return min(max(tokens, 0), 1<<40) }

// newTools are the tools that the client has not called before, each once.
func (w *Watch) newTools(r Record) []string {
	var tools []string
	for _, tool := range r.Tools {
		p := pair{r.Client, cmp.Or(tool, "unnamed")}
		if _, known := w.uses[p]; !known {
			tools = append(tools, p.tool)
		}
		w.use(p, r.Stored)
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
	if tokens <= BurstFloor || w.burstIn.Equal(w.hour) {
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

func firstSeen(r Record, tools []string) Finding {
	count := len(tools)
	tools = tools[:min(count, maxNamed)]
	return Finding{
		Kind: KindFirstSeen, Key: r.RequestID, Time: r.Stored, Severity: proto.SeverityLow,
		Title: firstSeenTitle(r.Client, tools, count), Rule: "Tool called for the first time",
		Detail: detail(struct {
			RequestID string   `json:"request_id"`
			Client    string   `json:"client"`
			Model     string   `json:"model"`
			Tools     []string `json:"tools"`
			Count     int      `json:"count"`
		}{r.RequestID, r.Client, r.Model, tools, count}),
	}
}

func (w *Watch) tokenBurst(at time.Time, tokens, median int64) Finding {
	return Finding{
		Kind: KindTokenBurst, Key: w.hour.Format(time.RFC3339) + " " + w.host, Time: at, Severity: proto.SeverityMedium,
		Title: fmt.Sprintf("%d tokens in an hour, where %d are usual", tokens, median), Rule: "Far more tokens than in other hours",
		Detail: detail(struct {
			Hour   time.Time `json:"hour"`
			Tokens int64     `json:"tokens"`
			Median int64     `json:"median"`
			Factor int       `json:"factor"`
			Floor  int64     `json:"floor"`
		}{w.hour, tokens, median, BurstFactor, BurstFloor}),
	}
}

// detail encodes strings and numbers, which is always possible.
func detail(v any) json.RawMessage {
	text, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	return text
}

// maxWord is how many runes of a name stand in a title.
const maxWord = 64

func firstSeenTitle(client string, tools []string, count int) string {
	const shown = 3
	var words []string
	for _, tool := range tools[:min(len(tools), shown)] {
		words = append(words, word(tool))
	}
	list := strings.Join(words, ", ")
	if count > shown {
		list += fmt.Sprintf(" and %d more", count-shown)
	}
	return fmt.Sprintf("First call by %s of %s", word(cmp.Or(client, "an unnamed client")), list)
}

func word(s string) string {
	s = strings.ToValidUTF8(s, "\ufffd")
	if utf8.RuneCountInString(s) <= maxWord {
		return s
	}
	return string([]rune(s)[:maxWord]) + "…"
}
