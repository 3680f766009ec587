package answer

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

// many are n members or elements.
func many(n int, one func(i int) string) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(one(i))
	}
	return b.String()
}

func repeat(s string) func(int) string { return func(int) string { return s } }

func TestScanBounds(t *testing.T) {
	const n = maxElements
	tests := []struct {
		name, text string
		large      bool
	}{
		{"nothing", "", false},
		{"text", `{"choices":[{"message":{"content":"` + strings.Repeat(`{}, null [] \" `, n) + `"}}]}`, false},
		{"numbers", `{"x":[` + many(2*n, repeat("1")) + `]}`, false},
		{"strings", `{"x":[` + many(2*n, repeat(`"n"`)) + `]}`, false},
		{"elements, just", `{"choices":[` + many(n-1, repeat("{}")) + `]}`, false},
		{"objects", `{"choices":[` + many(n+1, repeat("{}")) + `]}`, true},
		{"arrays", `[` + many(n+1, repeat("[]")) + `]`, true},
		{"nulls", `{"choices":[` + many(n+1, repeat("null")) + `]}`, true},
		{"in many arrays", `{"x":[` + many(n/100+1, repeat(`{"y":[`+many(100, repeat("null"))+`]}`)) + `]}`, true},
		{"names", `{` + many(n+1, func(i int) string { return fmt.Sprintf(`"%x":0`, i) }) + `}`, true},
		{"names of objects that are closed", `{"x":` + many(2, repeat(`{"a":{`+many(n/2, func(i int) string { return fmt.Sprintf(`"%x" :0`, i) })+`}}`)) + `}`, false},
		{"depth", strings.Repeat(`{"x":[`, maxDepth/2) + strings.Repeat(" ", smallText), true},
		{"not JSON", strings.Repeat(`"\`, smallText) + `]]}}"`, false},
	}
	s := newScan()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := s.bounded([]byte(tt.text)); errors.Is(err, ErrTooLarge) != tt.large {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestScanVisitsValues(t *testing.T) {
	s := newScan()
	paths := make(map[uint64]string)
	var got []string
	text := `{"a":"1","b":{"a":"2\"","c":["3",{"a" :"4"},["5"]]},"x":"\\","a":"6"} "7`
	if err := s.walk([]byte(text), func(path uint64, raw []byte) {
		if paths[path] == "" {
			paths[path] = string(rune('A' + len(paths)))
		}
		got = append(got, paths[path]+string(raw))
	}); err != nil {
		t.Fatal(err)
	}
	if want := `[A1 B2\" C3 D4 C5 E\\ A6 F7]`; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

// A string's end is found in one pass, even among backslashes and quotes.
func FuzzStringEnd(f *testing.F) {
	f.Add(`abc\\\"d" rest`)
	f.Fuzz(func(t *testing.T, text string) {
		want, escaped := len(text), false
		for i := 1; i < len(text); i++ {
			switch {
			case escaped:
				escaped = false
			case text[i] == '\\':
				escaped = true
			case text[i] == '"':
				want = i
			}
			if want < len(text) {
				break
			}
		}
		if len(text) == 0 || text[0] != '"' {
			return
		}
		if got := stringEnd([]byte(text), 1); got != want {
			t.Errorf("%q ends at %d, want %d", text, got, want)
		}
	})
}

// What parsing allocates stays below its weight, for every text that is parsed.
func TestParseWeight(t *testing.T) {
	const n = maxElements - 1
	texts := map[string]struct {
		api  llmapi.API
		data string
	}{
		"text":       {llmapi.ChatCompletions, `{"choices":[{"message":{"content":"` + strings.Repeat("some text, ", 200_000) + `"}}]}`},
		"escapes":    {llmapi.ChatCompletions, `{"choices":[{"message":{"content":"` + strings.Repeat(`\n\u0041`, 200_000) + `"}}]}`},
		"choices":    {llmapi.ChatCompletions, `{"choices":[` + many(n, repeat("{}")) + `]}`},
		"tool calls": {llmapi.ChatCompletions, `{"choices":[{"message":{"tool_calls":[` + many(n/2, repeat(`null`)) + `]}}]}`},
		"blocks":     {llmapi.Messages, `{"content":[` + many(n, repeat("{}")) + `]}`},
		"outputs":    {llmapi.Responses, `{"output":[` + many(n, repeat("{}")) + `]}`},
		"chunks":     {llmapi.GenerateContent, `[` + many(n, repeat("{}")) + `]`},
		"parts":      {llmapi.GenerateContent, `{"candidates":[{"content":{"parts":[` + many(n-2, repeat("{}")) + `]}}]}`},
		"names":      {llmapi.Messages, `{` + many(n, func(i int) string { return fmt.Sprintf(`"%x":0`, i) }) + `}`},
		"one call":   {llmapi.Messages, `{"content":[{"type":"tool_use","name":"n","input":{"x":"` + strings.Repeat("text ", 200_000) + `"}}]}`},
		"small":      {llmapi.Messages, `{"content":[` + many(100, repeat("{}")) + `]}`},
	}
	for name, tt := range texts {
		t.Run(name, func(t *testing.T) {
			g := gate{judge: func(llmapi.ToolCall) error { return nil }, maxCall: DefaultMaxBody, watch: newWatch(Options{Forbidden: [][]byte{[]byte("some secret of that length")}})}
			format := newFormat(Options{API: tt.api}, &g)
			data := []byte(tt.data)
			before := inUse()
			if s := newScan(); s.bounded(data) != nil {
				t.Fatal("not parsed")
			}
			_ = format.body(data) // that calls are too many does not matter here
			// Lists double as they grow.
			took := (inUse() - before) * 2
			runtime.KeepAlive(format)
			runtime.KeepAlive(data)
			if weight := int64(parseWeight(data)); took > weight {
				t.Errorf("%d bytes took %d, weight %d", len(data), took, weight)
			}
		})
	}
}

func inUse() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// Everything that is taken is given back, but for what is held at the end.
func TestGrowFollowsWhatIsHeld(t *testing.T) {
	held, most := 0, 0
	o := Options{API: llmapi.Messages, Stream: true, Judge: func(llmapi.ToolCall) error { return nil }, Grow: func(n int) error {
		held += n
		most = max(most, held)
		return nil
	}}
	large := `data: {"type":"content_block_delta","index":0,"delta":{"text":"` + strings.Repeat("x", 1<<20) + "\"}}\n\n"
	small := "data: {\"type\":\"ping\"}\n\n"
	if _, err := io.Copy(io.Discard, NewReader(strings.NewReader(large+strings.Repeat(small, 10_000)), o)); err != nil {
		t.Fatal(err)
	}
	if held != 0 || most < 4<<20 || most > 64<<20 {
		t.Errorf("%d bytes held in the end, %d at most", held, most)
	}
	o.Grow = func(n int) error { return ErrTooLarge }
	out, err := io.ReadAll(NewReader(strings.NewReader(small+large), o))
	if err != nil || strings.Contains(string(out), "xxx") || !strings.HasPrefix(string(out), small+"event: error\n") {
		t.Errorf("%v, %.200s", err, out)
	}
}
