package detect

import (
	"cmp"
	"errors"
	"fmt"
	"math/bits"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/proxy/internal/known"
	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

// Loop says how much is too much. Zero fields have the defaults.
type Loop struct {
	Repeats  int           // equal tool calls of a client within Window; default 20
	Window   time.Duration // default 10 minutes
	Requests int           // requests of a client within a minute; default 120
}

// loop counts what clients repeat.
type loop struct {
	Loop
	now     func() time.Time
	calls   *known.Cache[tally]
	clients *known.Cache[tally]
}

// tally counts within windows that lie side by side, the first of which begins
// with the first event. So a limit is passed at the latest when twice as much
// comes within a window's length.
type tally struct {
	since time.Time
	count int
}

// Validate reports limits below zero.
func (l Loop) Validate() error {
	if l.Repeats < 0 || l.Window < 0 || l.Requests < 0 {
		return errors.New("a limit of repetition is negative")
	}
	return nil
}

func newLoop(c Config) *loop {
	l := &loop{
		Loop: Loop{
			Repeats:  cmp.Or(c.Loop.Repeats, 20),
			Window:   cmp.Or(c.Loop.Window, 10*time.Minute),
			Requests: cmp.Or(c.Loop.Requests, 120),
		},
		now:     c.Now,
		calls:   known.NewCache[tally](maxCalls),
		clients: known.NewCache[tally](maxClients),
	}
	if l.now == nil {
		l.now = time.Now
	}
	return l
}

// request counts a request of the client that scope belongs to.
func (l *loop) request(h *known.Hash, scope known.Scope, mode Mode) (Finding, bool) {
	if mode == Off {
		return Finding{}, false
	}
	n := l.count(l.clients, h.Sum(scope, nil), time.Minute)
	return verdict(n, l.Requests, mode, Finding{
		Where:  InRequest,
		Detail: fmt.Sprintf("%d requests within a minute", n),
	})
}

// call counts a tool call of the client that scope belongs to. An identifier
// that differs does not make it another one.
func (l *loop) call(h *known.Hash, scope known.Scope, c llmapi.ToolCall, mode Mode) (Finding, bool) {
	if mode == Off {
		return Finding{}, false
	}
	n := l.count(l.calls, h.Sum(h.Sum(scope, []byte(c.Name)).Scope(), c.Arguments), l.Window)
	return verdict(n, l.Repeats, mode, Finding{
		Where:  InToolCall,
		Detail: fmt.Sprintf("the same call %d times within %s", n, l.Window),
	})
}

func (l *loop) count(c *known.Cache[tally], key known.Key, window time.Duration) int {
	now := l.now()
	return c.Update(key, func(t tally, _ bool) tally {
		if now.Sub(t.since) >= window {
			t = tally{since: now}
		}
		t.count++
		return t
	}).count
}

// verdict makes a finding of the nth event where limit are too many. What is
// only observed is reported when the limit is reached and each time the number has
// doubled, not each time.
func verdict(n, limit int, mode Mode, f Finding) (Finding, bool) {
	times := n / limit
	doubled := n%limit == 0 && bits.OnesCount(uint(times)) == 1
	if n < limit || mode != Enforce && !doubled {
		return Finding{}, false
	}
	f.Rule, f.Severity, f.Enforced = RunawayLoop, proto.SeverityMedium, mode == Enforce
	if times >= 4 {
		f.Severity = proto.SeverityHigh
	}
	return f, true
}
