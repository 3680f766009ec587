package inspect

import (
	"testing"

	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

// Google takes an object in the place of an array that would have one element.
func TestGeminiToolsWithoutArrays(t *testing.T) {
	for _, body := range []string{
		`{"contents":[],"tools":[{"functionDeclarations":[{"name":"exec","description":"Runs it."}]}]}`,
		`{"contents":[],"tools":{"functionDeclarations":[{"name":"exec","description":"Runs it."}]}}`,
		`{"contents":[],"tools":{"function_declarations":{"name":"exec","description":"Runs it."}}}`,
	} {
		req, err := Parse(llmapi.GenerateContent, []byte(body))
		if err != nil {
			t.Errorf("%s: %v", body, err)
			continue
		}
		if len(req.Tools) != 1 || req.Tools[0].Name != "exec" || string(req.Tools[0].Definition) != `{"name":"exec","description":"Runs it."}` {
			t.Errorf("%s: tools %s", body, req.Tools)
		}
		found := false
		for _, s := range req.Segments {
			found = found || string(s.Text) == "Runs it." && s.Tool == "exec"
		}
		if !found {
			t.Errorf("%s: the description is not among %+v", body, req.Segments)
		}
	}
}
