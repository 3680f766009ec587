package inspect

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
	"github.com/openclaw-security/bus/services/testing/golden"
)

// samples are the bodies in testdata and the API that each is of.
var samples = map[string]llmapi.API{
	"messages":          llmapi.Messages,
	"chat_completions":  llmapi.ChatCompletions,
	"responses":         llmapi.Responses,
	"embeddings":        llmapi.Embeddings,
	"embeddings_tokens": llmapi.Embeddings,
	"generate_content":  llmapi.GenerateContent,
	"batch":             llmapi.Batches,
	"batch_line":        llmapi.Batches,
	"batch_embed":       llmapi.Embeddings,
	"conversation":      llmapi.Conversations,
	"cached_content":    llmapi.CachedContents,
}

func sampleBody(t testing.TB, name string) []byte {
	t.Helper()
	body, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// render writes all that was found, a line each.
func render(req *Request) string {
	var b strings.Builder
	fmt.Fprintf(&b, "model %q, stream %t, usage %t\n", req.Model, req.Stream, req.IncludeUsage)
	roles := [...]string{"other", "system", "user", "assistant", "tool"}
	kinds := [...]string{"text", "arguments", "reasoning", "data"}
	for _, s := range req.Segments {
		attached := ""
		if s.Attached {
			attached = " attached"
		}
		fmt.Fprintf(&b, "%-9s %-9s %-13s %s %q%s\n", roles[s.Role], kinds[s.Kind], "<"+s.Tool+">", s.Path(), s.Text, attached)
	}
	for _, t := range req.Tools {
		fmt.Fprintf(&b, "tool %q %s\n", t.Name, t.Definition)
	}
	for _, r := range req.References {
		fmt.Fprintf(&b, "refers to %s %q\n", r.Kind, r.Name)
	}
	return b.String()
}

// The golden files say what is found in a body of each API, with every shape of
// content that it has.
func TestSamples(t *testing.T) {
	for name, api := range samples {
		t.Run(name, func(t *testing.T) {
			req, err := Parse(api, sampleBody(t, name))
			if err != nil {
				t.Fatal(err)
			}
			if req.API != api {
				t.Errorf("API is %s", req.API)
			}
			golden.Compare(t, filepath.Join("testdata", name+".golden"), []byte(render(req)))
		})
	}
}
