package campaign

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/openclaw-security/bus/services/testing/telegramtest"
)

// step is where a request to send a message is when something is killed.
type step int

const (
	arrived  step = iota // the whole request is there, and nobody has looked at it
	decided              // the stand-in has accepted it or not, and has not answered
	answered             // the answer is on its way
)

// String is the step in the name of an act.
func (s step) String() string { return [...]string{"arrived", "decided", "answered"}[s] }

// ambush is what happens to one request.
type ambush struct {
	script string        // what the stand-in does, if not what is right
	at     step          // when hit is called
	hit    func()        // nil for nothing
	delay  time.Duration // after an answer: into what the notifier then does
	met    chan struct{} // closed when a request has fallen into it
}

// arrival is a request to send a message.
type arrival struct {
	chat string
	at   time.Time
}

// gate stands before the stand-in for Telegram. It notes when requests arrive,
// those included that the stand-in then breaks off unread, and decides what
// happens to the next one to a certain chat.
type gate struct {
	standIn *telegramtest.Server
	sinkOf  func(chat string) string

	mu       sync.Mutex
	armed    map[string]*ambush // by sink
	arrivals []arrival
}

var _ http.Handler = (*gate)(nil)

const maxBody = 1 << 20

// ServeHTTP implements [http.Handler].
func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasSuffix(r.URL.Path, "/sendMessage") {
		g.standIn.ServeHTTP(w, r)
		return
	}
	at := time.Now()
	// Read here, so that the server notices when the client goes, and so that a
	// request is whole before its sender is killed.
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		panic(http.ErrAbortHandler) // the client was killed while it wrote
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	a := g.next(at, body)
	if a == nil {
		g.standIn.ServeHTTP(w, r)
		return
	}
	close(a.met)
	hit := func() {}
	if a.hit != nil {
		hit = sync.OnceFunc(a.hit)
	}
	defer hit() // also when the stand-in breaks the connection off
	if a.at == arrived {
		hit()
	}
	// The request that comes next to the stand-in is this one, but for one to
	// another chat at the same moment, which then has the trouble.
	if err := g.standIn.Script(a.script); err != nil {
		panic(fmt.Sprintf("%q: %v", a.script, err)) // a fault of this package
	}
	if a.at == decided {
		w = &held{w, hit}
	}
	g.standIn.ServeHTTP(w, r)
	_ = http.NewResponseController(w).Flush() // the client may have gone
	time.Sleep(a.delay)                       // the moment is the point, nothing is waited for
}

// next notes an arrival and returns the ambush for it, nil if there is none.
func (g *gate) next(at time.Time, body []byte) *ambush {
	var message struct {
		Chat string `json:"chat_id"`
	}
	_ = json.Unmarshal(body, &message) // the judge finds an arrival of no chat
	g.mu.Lock()
	defer g.mu.Unlock()
	g.arrivals = append(g.arrivals, arrival{message.Chat, at})
	sink := g.sinkOf(message.Chat)
	a := g.armed[sink]
	delete(g.armed, sink)
	return a
}

// arm lays an ambush for the next request of a sink.
func (g *gate) arm(sink string, a *ambush) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.armed[sink] = a
}

func (g *gate) seen() []arrival {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.arrivals)
}

// held does something before the first byte of an answer goes out.
type held struct {
	http.ResponseWriter
	before func()
}

// WriteHeader implements [http.ResponseWriter].
func (h *held) WriteHeader(status int) {
	h.before()
	h.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (h *held) Write(p []byte) (int, error) {
	h.before()
	return h.ResponseWriter.Write(p)
}

// Unwrap is for [http.ResponseController].
func (h *held) Unwrap() http.ResponseWriter { return h.ResponseWriter }
