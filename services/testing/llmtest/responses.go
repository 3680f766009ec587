package llmtest

import (
	"fmt"
	"net/http"
	"strings"
)

// responses is the Responses API.
type responses struct{}

var (
	_ format   = responses{}
	_ streamer = responses{}
)

func (responses) read(body []byte, _ *http.Request, p *prompt) *fault {
	given := false
	for name, value := range members(body) {
		switch name {
		case "model":
			p.model = text(value)
		case "stream":
			p.stream = string(value) == "true"
		case "input":
			newest, n := last(value)
			p.text = userText(newest, "")
			given = n > 0
			if value[0] == '"' {
				p.text, given = text(value), true
			}
		}
	}
	switch {
	case p.model == "":
		return missing("A model must be named.")
	case !given:
		return missing("'input' must be a text or a list of items.")
	}
	return nil
}

func (responses) contentType(*answer) string { return "text/event-stream; charset=utf-8" }

// errorEvent is numbered as its place in the stream is.
// https://platform.openai.com/docs/api-reference/responses-streaming/error
func (responses) errorEvent(_ *exchange, _ *answer, f *fault, n int) []byte {
	code := f.code
	if code == "" {
		code = openAIError(f.status)
	}
	return fmt.Appendf(nil, "event: error\ndata: {\"type\":\"error\",\"code\":%q,\"message\":%s,\"param\":null,\"sequence_number\":%d}\n\n", code, quote(f.message), n)
}

func (responses) body(a *answer) []byte {
	return []byte(responseObject(a, "completed", outputItems(a), responseUsage(a)))
}

// responseObject is a response as it stands.
func responseObject(a *answer, status string, output []string, usage string) string {
	return fmt.Sprintf(`{"id":%q,"object":"response","created_at":%d,"status":%q,"background":false,"error":null,"incomplete_details":null,"instructions":null,"max_output_tokens":null,"model":%s,"output":[%s],"parallel_tool_calls":true,"previous_response_id":null,"reasoning":{"effort":null,"summary":null},"service_tier":"default","store":true,"temperature":1.0,"text":{"format":{"type":"text"},"verbosity":"medium"},"tool_choice":"auto","tools":[],"top_p":1.0,"truncation":"disabled","usage":%s,"user":null,"metadata":{}}`,
		fmt.Sprintf("resp_Fake%032x", a.serial), a.created, status, quote(a.model), strings.Join(output, ","), usage)
}

func responseUsage(a *answer) string {
	u := a.usage
	return fmt.Sprintf(`{"input_tokens":%d,"input_tokens_details":{"cached_tokens":%d},"output_tokens":%d,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":%d}`,
		u.input, u.cached, u.output, u.input+u.output)
}

// outputItems is the whole output: the text, then the calls.
func outputItems(a *answer) []string {
	var items []string
	if len(a.pieces) > 0 {
		items = append(items, messageItem(a, "completed", textPart(a.text())))
	}
	for i := range a.calls {
		items = append(items, callItem(a, i, "completed", a.calls[i].arguments))
	}
	return items
}

func messageItemID(a *answer) string { return fmt.Sprintf("msg_Fake%032x", a.serial) }

func callItemID(a *answer, i int) string { return fmt.Sprintf("fc_Fake%028x%04x", a.serial, i) }

func messageItem(a *answer, status, content string) string {
	return fmt.Sprintf(`{"id":%q,"type":"message","status":%q,"content":[%s],"role":"assistant"}`, messageItemID(a), status, content)
}

func textPart(text string) string {
	return `{"type":"output_text","annotations":[],"logprobs":[],"text":` + quote(text) + `}`
}

func callItem(a *answer, i int, status, arguments string) string {
	return fmt.Sprintf(`{"id":%q,"type":"function_call","status":%q,"arguments":%s,"call_id":%q,"name":%s}`,
		callItemID(a, i), status, quote(arguments), callID(a, i), quote(a.calls[i].name))
}
