package forward

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
	"github.com/openclaw-security/bus/services/testing/golden"
)

const proxyDoc = "../../../../docs/proxy.md"

//go:generate go test . -run "^Test(Route|Header)Doc$" -update

// docs/proxy.md lists the routes as they are.
func TestRouteDoc(t *testing.T) {
	var doc bytes.Buffer
	for _, provider := range []struct {
		name string
		llmapi.Provider
	}{{"Anthropic", llmapi.Anthropic}, {"OpenAI", llmapi.OpenAI}, {"Gemini", llmapi.Gemini}} {
		fmt.Fprintf(&doc, "\n| %s | query | body | answer |\n|---|---|---|---|\n", provider.name)
		rows := builtin[provider.Provider]
		for _, r := range slices.Concat(rows, webSocketRoutes[provider.Provider]) {
			text, query, _ := strings.Cut(r.text, "?")
			names := strings.FieldsFunc(query, func(c rune) bool { return c == '&' })
			for i, name := range names {
				names[i] = "`" + name + "`"
			}
			fmt.Fprintf(&doc, "| `%s` | %s | %s | %s |\n", text, strings.Join(names, " "), bodyDoc(r.route), answerDoc(r.route))
		}
	}
	golden.Section(t, proxyDoc, "routes", doc.Bytes())
}

func bodyDoc(r Route) string {
	switch {
	case r.WebSocket:
		return "not read"
	case r.Body == JSON:
		return "inspected"
	case r.Body == OptionalJSON:
		return "inspected, if any"
	case r.Body == File:
		return "files"
	}
	return ""
}

func answerDoc(r Route) string {
	switch {
	case r.WebSocket:
		return "not read"
	}
	switch r.API {
	case llmapi.Messages, llmapi.ChatCompletions, llmapi.Completions, llmapi.Responses, llmapi.Conversations, llmapi.GenerateContent, llmapi.Interactions, llmapi.Results:
		return "read"
	}
	return ""
}

// docs/proxy.md lists the headers that pass as they are.
func TestHeaderDoc(t *testing.T) {
	var doc bytes.Buffer
	write := func(title string, names []string) {
		quoted := make([]string, len(names))
		for i, name := range names {
			quoted[i] = "`" + strings.ToLower(name) + "`"
		}
		slices.Sort(quoted)
		fmt.Fprintf(&doc, "- %s: %s\n", title, strings.Join(quoted, ", "))
	}
	write("Of the request", passing)
	write("The session, by which providers find the prompt in their cache", sessionHeaders)
	var families []string
	for _, family := range passingFamilies {
		families = append(families, family+"*")
	}
	write("All that begin with, unless they hold "+strings.Join(credentialWords, ", "), families)
	golden.Section(t, proxyDoc, "headers", doc.Bytes())
}
