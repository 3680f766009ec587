package inspect

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

// list is a body whose messages have one content for each number below n.
func list(n int, element func(i int) string) []byte {
	var b bytes.Buffer
	b.WriteString(`{"messages":[{"role":"tool","content":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(element(i))
	}
	b.WriteString("]}]}")
	return b.Bytes()
}

// What Parse keeps stays well below the weight, because lists that grow take more
// for a moment, and the weight below its own bound.
func TestWeight(t *testing.T) {
	text := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("some text ", 100_000)))
	bodies := map[string][]byte{
		"small":      []byte(`{"messages":[{"role":"user","content":"hi"}]}`),
		"long text":  list(1, func(int) string { return `"` + strings.Repeat("some text ", 400_000) + `"` }),
		"escapes":    list(1, func(int) string { return `"` + strings.Repeat(`a\n`, 1_000_000) + `"` }),
		"strings":    list(250_000, func(i int) string { return fmt.Sprintf(`"ab%06x"`, i) }),
		"names":      list(120_000, func(i int) string { return fmt.Sprintf(`{"a%05x b":1}`, i) }),
		"one object": list(1, func(int) string { return "{" + strings.Repeat(`"":1,`, 1) + manyNames(200_000) + "}" }),
		"containers": list(250_000, func(int) string { return `[]` }),
		"parts":      list(60_000, func(i int) string { return fmt.Sprintf(`{"type":"text","text":"\u0041%d"}`, i) }),
		"base64 text": list(8, func(int) string {
			return `{"type":"document","source":{"type":"base64","media_type":"text/plain","data":"` + text + `"}}`
		}),
	}
	for name, body := range bodies {
		t.Run(name, func(t *testing.T) {
			before := inUse()
			request, err := Parse(llmapi.Messages, body)
			if err != nil {
				t.Fatal(err)
			}
			took, weight := (inUse()-before)*9/8, Weight(body)
			t.Logf("%d bytes take %d (%.1f times), weight %d", len(body), took, float64(took)/float64(len(body)), weight)
			if took > weight {
				t.Errorf("took %d bytes, weight %d", took, weight)
			}
			runtime.KeepAlive(request)
			if limit := MaxWeight(int64(len(body))); weight > limit {
				t.Errorf("weight %d is over the limit of %d", weight, limit)
			}
		})
	}
}

// inUse is what is in use of the heap, in bytes.
func inUse() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// manyNames are the members of an object.
func manyNames(n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `"n%05x":1`, i)
	}
	return b.String()
}
