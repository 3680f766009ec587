package guard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakeGuard is a guard that scores by what onQuestion says, and remembers what
// it was asked.
type fakeGuard struct {
	*httptest.Server
	onQuestion func(w http.ResponseWriter, messages []string)

	mu    sync.Mutex
	asked [][]string
}

func startGuard(t *testing.T, onQuestion func(w http.ResponseWriter, messages []string)) *fakeGuard {
	g := &fakeGuard{onQuestion: onQuestion}
	g.Server = httptest.NewServer(g.handler(t))
	t.Cleanup(g.Close)
	return g
}

func (g *fakeGuard) handler(t *testing.T) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q struct{ Messages []string }
		body, err := io.ReadAll(r.Body)
		if err := errors.Join(err, json.Unmarshal(body, &q)); err != nil {
			t.Error(err)
		}
		if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("asked by %s with %v", r.Method, r.Header)
		}
		g.mu.Lock()
		g.asked = append(g.asked, q.Messages)
		g.mu.Unlock()
		g.onQuestion(w, q.Messages)
	})
}

// questions returns what was asked since the last call.
func (g *fakeGuard) questions() [][]string {
	g.mu.Lock()
	defer g.mu.Unlock()
	asked := g.asked
	g.asked = nil
	return asked
}

func write(body string) func(http.ResponseWriter, []string) {
	return func(w http.ResponseWriter, _ []string) { io.WriteString(w, body) }
}

// scoring gives a message that says evil 0.9, any other 0.1.
func scoring(w http.ResponseWriter, messages []string) {
	if slices.ContainsFunc(messages, func(m string) bool { return strings.Contains(m, "evil") }) {
		io.WriteString(w, `{"score":0.9,"reason":"says evil"}`)
		return
	}
	io.WriteString(w, `{"score":0.1,"reason":"fine"}`)
}

func client(t *testing.T, url string, change func(*Config)) *Client {
	t.Helper()
	c := Config{URL: url, Threshold: 0.8, Timeout: 30 * time.Second}
	if change != nil {
		change(&c)
	}
	g := New(c)
	t.Cleanup(g.Close)
	return g
}

func texts(list ...string) [][]byte {
	var out [][]byte
	for _, s := range list {
		out = append(out, []byte(s))
	}
	return out
}

func TestVerdict(t *testing.T) {
	tests := map[string]struct {
		answer string
		want   Verdict
	}{
		"harmless":         {`{"score":0.25,"reason":"fine"}`, Verdict{Score: 0.25, Reason: "fine"}},
		"no reason":        {`{"score":0}`, Verdict{}},
		"below":            {`{"score":0.7999}`, Verdict{Score: 0.7999}},
		"at the threshold": {`{"score":0.8,"reason":"x"}`, Verdict{Score: 0.8, Reason: "x", Blocked: true}},
		"above":            {`{"score":1,"reason":"x"}`, Verdict{Score: 1, Reason: "x", Blocked: true}},
		"more fields":      {` {"score":0.9,"model":{"a":[1]},"reason":"x"} `, Verdict{Score: 0.9, Reason: "x", Blocked: true}},
		"a dirty reason":   {`{"score":0.9,"reason":"a\u0000b\r\n\"c\"\u202e\ud83d\ude00 <script>"}`, Verdict{Score: 0.9, Reason: `a b "c" 😀 <script>`, Blocked: true}},
		"a reason of no UTF-8": {
			"{\"score\":0.9,\"reason\":\"a\xffb\"}", Verdict{Score: 0.9, Reason: "a\ufffdb", Blocked: true},
		},
		"a long reason": {
			`{"score":0.9,"reason":"` + strings.Repeat("é", 300) + `"}`, Verdict{Score: 0.9, Reason: strings.Repeat("é", 200) + "…", Blocked: true},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			g := startGuard(t, write(test.answer))
			test.want.Threshold, test.want.Asked = 0.8, 1
			if got := client(t, g.URL, nil).Check(t.Context(), texts("text")); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestNoVerdict(t *testing.T) {
	elsewhere := startGuard(t, write(`{"score":0}`))
	status := func(code int) func(http.ResponseWriter, []string) {
		return func(w http.ResponseWriter, _ []string) {
			w.Header().Set("Location", elsewhere.URL)
			w.WriteHeader(code)
			io.WriteString(w, `{"score":0}`)
		}
	}
	tests := map[string]struct {
		answer func(http.ResponseWriter, []string)
		want   string
	}{
		"500":             {status(500), "status 500"},
		"204":             {status(204), "status 204"},
		"201":             {status(201), "status 201"},
		"redirect":        {status(307), "status 307"},
		"moved":           {status(301), "status 301"},
		"empty":           {write(""), "not of the form"},
		"no JSON":         {write("<html>"), "not of the form"},
		"an array":        {write(`[{"score":0}]`), "not of the form"},
		"no score":        {write(`{"reason":"x"}`), "no score"},
		"null":            {write(`null`), "no score"},
		"null score":      {write(`{"score":null}`), "no score"},
		"other case":      {write(`{"Score":0}`), "no score"},
		"a string":        {write(`{"score":"0.1"}`), "not of the form"},
		"NaN":             {write(`{"score":NaN}`), "not of the form"},
		"negative":        {write(`{"score":-0.1}`), "not between 0 and 1"},
		"a percentage":    {write(`{"score":87}`), "not between 0 and 1"},
		"huge":            {write(`{"score":1e999}`), "not "},
		"two scores":      {write(`{"score":0,"score":1}`), "not of the form"},
		"two documents":   {write(`{"score":0}{"score":1}`), "not of the form"},
		"trailing":        {write(`{"score":0}x`), "not of the form"},
		"a wrong reason":  {write(`{"score":0,"reason":1}`), "not of the form"},
		"too large":       {write(`{"score":0,"reason":"` + strings.Repeat("x", maxReply) + `"}`), "larger than"},
		"too many spaces": {write(`{"score":0}` + strings.Repeat(" ", maxReply)), "larger than"},
		"cut off": {func(w http.ResponseWriter, _ []string) {
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, `{"score":0}`)
		}, "unexpected EOF"},
		"broken off": {func(http.ResponseWriter, []string) { panic(http.ErrAbortHandler) }, "EOF"},
	}
	for name, test := range tests {
		for _, open := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/open=%t", name, open), func(t *testing.T) {
				g := startGuard(t, test.answer)
				c := client(t, g.URL, func(c *Config) { c.FailOpen = open })
				for range 2 { // nothing is remembered as harmless
					v := c.Check(t.Context(), texts("text"))
					if v.Err == nil || !strings.Contains(v.Err.Error(), test.want) || v.Blocked == open || v.Asked != 1 {
						t.Errorf("got %+v, want %s", v, test.want)
					}
				}
				if n := len(elsewhere.questions()); n > 0 {
					t.Errorf("%d redirects were followed", n)
				}
			})
		}
	}
}

func TestUnreachable(t *testing.T) {
	g := startGuard(t, nil)
	url := g.URL
	g.Close()
	v := client(t, url, nil).Check(t.Context(), texts("text"))
	if v.Err == nil || !v.Blocked || strings.Contains(v.Err.Error(), "Post") {
		t.Errorf("got %+v", v)
	}
}

func TestTimeout(t *testing.T) {
	release := make(chan struct{})
	g := startGuard(t, func(w http.ResponseWriter, _ []string) { <-release })
	t.Cleanup(func() { close(release) })
	v := client(t, g.URL, func(c *Config) { c.Timeout = 10 * time.Millisecond }).Check(t.Context(), texts("text"))
	if !errors.Is(v.Err, context.DeadlineExceeded) || !v.Blocked {
		t.Errorf("got %+v", v)
	}
}

func TestProxyFromTheEnvironmentIsNotUsed(t *testing.T) {
	transport := New(Config{}).http.Transport.(*http.Transport)
	if transport.Proxy != nil {
		t.Error("it may be")
	}
}

func TestOnlyWhatIsNewIsAsked(t *testing.T) {
	g := startGuard(t, scoring)
	c := client(t, g.URL, nil)
	steps := []struct {
		texts   []string
		asked   [][]string
		blocked bool
	}{
		{[]string{}, nil, false},
		{[]string{"", "one", "two", "one"}, [][]string{{"one", "two"}}, false},
		{[]string{"one", "two"}, nil, false},
		{[]string{"one", "two", "three", "evil"}, [][]string{{"three", "evil"}}, true},
		{[]string{"three"}, [][]string{{"three"}}, false}, // it was in company when it was blocked
		{[]string{"one", "evil"}, [][]string{{"evil"}}, true},
		{[]string{"three", "two"}, nil, false},
	}
	for i, s := range steps {
		v := c.Check(t.Context(), texts(s.texts...))
		if got := g.questions(); !slices.EqualFunc(got, s.asked, slices.Equal) {
			t.Errorf("step %d: asked %q, want %q", i, got, s.asked)
		}
		if v.Blocked != s.blocked || v.Err != nil {
			t.Errorf("step %d: %+v", i, v)
		}
	}
}

func TestNothingToAskIsNotBlocked(t *testing.T) {
	v := client(t, "http://127.0.0.1:1", func(c *Config) { c.Threshold = 0 }).Check(t.Context(), nil)
	if v != (Verdict{}) {
		t.Errorf("got %+v", v)
	}
}

func TestHarmlessTextsAreBounded(t *testing.T) {
	g := startGuard(t, write(`{"score":0}`))
	c := client(t, g.URL, nil)
	var list []string
	for i := range maxHarmless + 1000 {
		list = append(list, fmt.Sprint(i))
	}
	if v := c.Check(t.Context(), texts(list...)); v.Err != nil || v.Asked != len(list) {
		t.Fatalf("got %+v", v)
	}
	if n := c.harmless.Len(); n > maxHarmless {
		t.Errorf("%d are remembered, more than %d", n, maxHarmless)
	}
}

func TestManyTexts(t *testing.T) {
	g := startGuard(t, scoring)
	c := client(t, g.URL, nil)
	list := make([]string, 200)
	for i := range list {
		list[i] = fmt.Sprint("text ", i)
	}
	list[100] = "evil"
	v := c.Check(t.Context(), texts(list...))
	asked := g.questions()
	if !v.Blocked || v.Score != 0.9 || v.Reason != "says evil" || v.Asked != 128 || len(asked) != 2 {
		t.Errorf("got %+v after %d questions", v, len(asked))
	}
	if v := c.Check(t.Context(), texts(list[0])); v.Asked != 1 {
		t.Errorf("a text of a blocked request counts as harmless: %+v", v)
	}
	g.questions()

	list[100] = "good"
	if v := c.Check(t.Context(), texts(list...)); v.Blocked || v.Score != 0.1 || v.Asked != 199 {
		t.Errorf("got %+v", v)
	}
	if got := slices.Concat(g.questions()...); !slices.Equal(got, list[1:]) {
		t.Errorf("asked about %d texts: %q", len(got), got)
	}
}

func TestTheHighestScoreCounts(t *testing.T) {
	n := 0
	g := startGuard(t, func(w http.ResponseWriter, _ []string) {
		fmt.Fprintf(w, `{"score":%v,"reason":"%d"}`, []float64{0.2, 0.6, 0.4}[n], n)
		n++
	})
	list := make([]string, 2*maxMessages+1)
	for i := range list {
		list[i] = fmt.Sprint(i)
	}
	if v := client(t, g.URL, nil).Check(t.Context(), texts(list...)); v.Score != 0.6 || v.Reason != "1" || v.Asked != len(list) {
		t.Errorf("got %+v", v)
	}
}

func TestFailureHalfWay(t *testing.T) {
	n := 0
	g := startGuard(t, func(w http.ResponseWriter, messages []string) {
		if n++; n == 2 {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		scoring(w, messages)
	})
	c := client(t, g.URL, nil)
	list := make([]string, 3*maxMessages)
	for i := range list {
		list[i] = fmt.Sprint(i)
	}
	if v := c.Check(t.Context(), texts(list...)); v.Err == nil || !v.Blocked || v.Asked != 2*maxMessages || n != 2 {
		t.Errorf("got %+v after %d questions", v, n)
	}
	if v := c.Check(t.Context(), texts(list[0])); v.Asked != 1 {
		t.Errorf("a text of a check that failed counts as harmless: %+v", v)
	}
}
