package proxy

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/proxy/internal/detect"
	"github.com/openclaw-security/bus/services/testing/llmtest"
	"github.com/openclaw-security/bus/services/testing/testenv"
)

// TestBytesAreExact sends random requests, TEST_EXCHANGES to each API, and has them answered with random
// bytes: what the provider receives and what the client receives is what the
// other side sent, save for the usage that is asked for in a Chat Completions
// stream, the chunk that tells it, and the key.
func TestBytesAreExact(t *testing.T) {
	seed, exchanges := testenv.Seed(t), testenv.Count(t, "TEST_EXCHANGES", 25)
	watched := func(c *Config) {
		c.Detections = make(detect.Modes)
		for _, rule := range detect.Rules() {
			c.Detections[rule.Name] = detect.Observe
		}
	}
	for _, setting := range []struct {
		name   string
		change func(*testing.T, *Config)
		echoes bool // answers show the key; where that is enforced, they are stopped
	}{
		{"as it comes", func(*testing.T, *Config) {}, false},
		{"every detection, the key redacted", func(_ *testing.T, c *Config) { watched(c) }, true},
		{"every detection and the guard", func(t *testing.T, c *Config) {
			watched(c)
			use(c, startStub(t))
			c.Guard.Timeout = time.Minute // under load, too
		}, false},
	} {
		t.Run(setting.name, func(t *testing.T) {
			provider := &scripted{}
			r := newSolo(t, provider, func(c *Config) { setting.change(t, c) })
			for i, api := range []string{"messages", "chat", "responses", "gemini"} {
				t.Run(api, func(t *testing.T) {
					random := rand.New(rand.NewPCG(seed, uint64(i)))
					redacted := 0
					for n := range exchanges {
						w := &writer{Rand: random, escapes: random.IntN(4) == 0}
						redacted += r.exchange(t, w, provider, api, setting.echoes)
						if t.Failed() {
							t.Fatalf("exchange %d", n)
						}
					}
					if setting.echoes && redacted == 0 {
						t.Error("no answer has had the key in it")
					}
				})
			}
		})
	}
}

// exchange makes one, and returns how often the key was in its answer.
func (r *rig) exchange(t *testing.T, w *writer, provider *scripted, api string, echoes bool) (redacted int) {
	t.Helper()
	stream := w.IntN(3) > 0
	path, body, asks := w.request(api, stream)
	given := w.answer(api, stream, echoes)
	provider.give(given)
	got := r.post(path, body, "Anthropic-Version", map[bool]string{true: "2023-06-01"}[api == "messages"])

	// Which of it is the usage chunk depends on what the provider was asked.
	sent, want := provider.received(), string(given.body)
	asks = asks || escapedLetter.MatchString(body) // then it is not looked for
	const option = `"stream_options":{"include_usage":true},`
	if api == "chat" && stream && !asks {
		if strings.Count(sent, option) != 1 || !json.Valid([]byte(sent)) {
			t.Errorf("no usage is asked for: %.300s", sent)
		}
		sent = strings.Replace(sent, option, "", 1)
		want = strings.Replace(want, given.usage, "", 1)
	}
	if sent != body {
		t.Errorf("%s: the provider has received\n%s\nthe client has sent\n%s", path, excerpt(sent, body), excerpt(body, sent))
	}
	redacted = len(anyKey.FindAllString(want, -1))
	want = anyKey.ReplaceAllString(want, "[redacted]")
	if got.body != want || got.err != nil || got.status != given.status || got.header.Get("Content-Type") != given.contentType {
		t.Errorf("%s: the client has received %d %q %v\n%s\nthe provider has sent %d %q\n%s", path,
			got.status, got.header.Get("Content-Type"), got.err, excerpt(got.body, want), given.status, given.contentType, excerpt(want, got.body))
	}
	if a := r.final(); a.Decision != proto.DecisionAllowed || a.ResponseBytes != int64(len(want)) {
		t.Errorf("record %+v", a)
	}
	return redacted
}

// escapedLetter is an escape of what could be in a name, and needs none.
var escapedLetter = regexp.MustCompile(`\\u00[567]`)

// anyKey is the key, with any of its letters escaped.
var anyKey = func() *regexp.Regexp {
	var pattern strings.Builder
	for _, c := range []byte(llmtest.Key) {
		fmt.Fprintf(&pattern, `(?:%s|(?i:\\u%04x))`, regexp.QuoteMeta(string(c)), c)
	}
	return regexp.MustCompile(pattern.String())
}()

// excerpt is the place in s where it begins to differ from other.
func excerpt(s, other string) string {
	i := 0
	for i < len(s) && i < len(other) && s[i] == other[i] {
		i++
	}
	return fmt.Sprintf("%d bytes, at %d: %q", len(s), i, s[max(0, i-80):min(len(s), i+200)])
}

// given is an answer as the provider sends it.
type given struct {
	status      int
	contentType string
	body        []byte
	usage       string // the event of Chat Completions that tells the usage
	cuts        []int  // where a piece ends
}

// scripted is a provider that answers with given bytes.
type scripted struct {
	mu   sync.Mutex
	next given
	body []byte
}

func (s *scripted) give(g given) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = g
}

func (s *scripted) received() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.body)
}

func (s *scripted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	g := s.next
	s.body = body
	s.mu.Unlock()
	w.Header().Set("Content-Type", g.contentType)
	w.WriteHeader(g.status)
	at := 0
	for _, cut := range append(g.cuts, len(g.body)) {
		_, _ = w.Write(g.body[at:cut])
		_ = http.NewResponseController(w).Flush()
		at = cut
	}
}
