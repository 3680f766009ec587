package proxy

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/openclaw-security/bus/services/proxy/internal/inspect"
)

// A prompt of twice as many texts costs about twice the memory, not four times.
func TestPromptTextsAreLinear(t *testing.T) {
	allocated := func(n int) uint64 {
		request := &inspect.Request{}
		for i := range n {
			request.Segments = append(request.Segments, inspect.Segment{Role: inspect.RoleUser, Kind: inspect.KindText, Text: fmt.Appendf(nil, "%04x", i)})
		}
		p, err := newPrompts(t.TempDir(), true)
		if err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		prompt := p.texts("client", request)
		runtime.ReadMemStats(&after)
		if len(prompt) != n || prompt[0].Text != "0000" || prompt[n-1].Text != fmt.Sprintf("%04x", n-1) {
			t.Fatalf("%d of %d texts, or in another order", len(prompt), n)
		}
		return after.TotalAlloc - before.TotalAlloc
	}
	if small, large := allocated(4000), allocated(8000); large > 3*small {
		t.Errorf("%d bytes for 4000 texts, %d for 8000", small, large)
	}
}
