package index

import (
	"reflect"
	"testing"
)

// FuzzDecode is what Add makes of a payload, without SQLite, which a fuzzer is
// slow with.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"request_id":"a","phase":"end","time":"2026-11-22T12:00:00Z","client":"c","duration":1e300,"gen_ai.response.time_to_first_chunk":-1,` +
		`"usage":{"gen_ai.usage.input_tokens":9223372036854775807,"gen_ai.usage.cache_read.input_tokens":-9223372036854775808},` +
		`"tool_calls":[{"gen_ai.tool.name":"x","verdict":"allowed"},{"verdict":"blocked"},{"gen_ai.tool.name":"x"}],"prompt":[{"role":"user","text":"secret"}],"answer":"secret"}`))
	f.Add([]byte(`{"request_id":"a","phase":"start","time":"0000-01-01T00:00:00Z","client":"\u0000"}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		a, err := decode(payload)
		if err != nil {
			return
		}
		s := sumsOf(a)
		for i, n := range s.counters() {
			if *n < 0 {
				t.Errorf("counter %d is %d", i, *n)
			}
		}
		var calls int64
		for _, tool := range s.byTool(a) {
			calls += tool.calls
		}
		if calls != s.calls || calls != int64(len(a.ToolCalls)) {
			t.Errorf("%d calls by tool, %d in all", calls, s.calls)
		}
		var stored sums
		if err := stored.decode(s.appendTo(nil)); err != nil || !reflect.DeepEqual(&stored, s) {
			t.Errorf("stored as %+v, was %+v, %v", stored, s, err)
		}
		if g := groupOf(a); max(len(g.client), len(g.provider), len(g.model), len(g.asked), len(g.decision)) > maxName {
			t.Errorf("names are too long: %+v", g)
		}
		text, err := withoutText(a, payload)
		if err != nil {
			t.Fatal(err)
		}
		bare, err := decode(text)
		if err != nil {
			t.Fatal(err)
		}
		if len(bare.Prompt) > 0 || bare.Answer != "" || bare.RequestID != a.RequestID || !bare.Time.Equal(a.Time) {
			t.Errorf("kept as %s", text)
		}
	})
}
