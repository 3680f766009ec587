package answer

import (
	"cmp"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

// item is one of the outputs of the Responses API.
type item struct {
	Type      string         `json:"type"`
	ID        text           `json:"id"`
	CallID    text           `json:"call_id"`
	Name      string         `json:"name"`
	Arguments text           `json:"arguments"`
	Input     text           `json:"input"`
	Code      text           `json:"code"`
	Content   jsontext.Value `json:"content"`

	Environment struct {
		Type string `json:"type"`
	} `json:"environment"` // of a shell
	Execution     string `json:"execution"` // of a search for tools
	RevisedPrompt text   `json:"revised_prompt"`

	json jsontext.Value
}

func parseItem(value jsontext.Value) (*item, error) {
	it := new(item)
	if value.Kind() == '{' {
		if err := parse(value, it); err != nil {
			return nil, err
		}
	}
	it.json = value
	return it, nil
}

// isCall reports whether the item is a tool call, or the request to approve one,
// which the client answers for its user.
func (it *item) isCall() bool {
	kind := strings.ToLower(strings.TrimSpace(it.Type))
	return strings.HasSuffix(kind, "_call") || strings.HasSuffix(kind, "_request")
}

func (it *item) call() llmapi.ToolCall {
	tool := llmapi.ToolCall{
		ID:   cmp.Or(string(it.CallID), string(it.ID)),
		Name: cmp.Or(it.Name, it.Type),
	}
	switch it.Type {
	case "mcp_call", "mcp_approval_request", "web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call":
		tool.Remote = true
	case "shell_call":
		tool.Remote = strings.HasPrefix(it.Environment.Type, "container")
	case "tool_search_call":
		tool.Remote = it.Execution != "client"
	}
	return tool
}

// argumentsInDeltas reports whether the arguments are a text of their own rather
// than parts of the item.
func (it *item) argumentsInDeltas() bool {
	switch it.Type {
	case "function_call", "mcp_call", "mcp_approval_request", "custom_tool_call", "code_interpreter_call":
		return true
	default:
		return false
	}
}

// isBare reports whether the item says nothing of what the call is to do.
func (it *item) isBare() bool {
	var members map[string]jsontext.Value
	try(it.json, &members)
	for name, value := range members {
		switch name {
		case "type", "id", "call_id", "status":
		default:
			if k := value.Kind(); k != 'n' {
				return false
			}
		}
	}
	return true
}

// arguments are what the client, or the provider, acts on for this type of item:
// if it is not known which members that are, all of it.
func (it *item) arguments() []byte {
	switch it.Type {
	case "function_call", "mcp_call", "mcp_approval_request":
		return it.Arguments
	case "custom_tool_call":
		return it.Input
	case "code_interpreter_call":
		return it.Code
	case "image_generation_call":
		return it.RevisedPrompt
	case "web_search_call", "file_search_call":
		return it.withoutResults()
	default:
		return it.json
	}
}

// withoutResults is the item without what the provider has found, which can be longer
// than any arguments.
func (it *item) withoutResults() []byte {
	members, action := make(map[string]jsontext.Value), make(map[string]jsontext.Value)
	try(it.json, &members)
	if value := members["action"]; value.Kind() == '{' {
		try(value, &action)
	}
	if members["results"] == nil && action["sources"] == nil {
		return it.json
	}
	delete(members, "results")
	if action["sources"] != nil {
		delete(action, "sources")
		members["action"] = encoded(action)
	}
	return encoded(members)
}

// encoded is an object of members that have been parsed, in the order of their names.
func encoded(members map[string]jsontext.Value) jsontext.Value {
	value, _ := json.Marshal(members, json.Deterministic(true), jsontext.AllowInvalidUTF8(true)) // nothing in it can fail
	return value
}
