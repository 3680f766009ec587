// Package llmapi names the APIs that model providers speak, what a request to
// each is called, and the form in which each reports an error.
package llmapi

import "fmt"

// Provider is a vendor's family of APIs. It decides how a request is
// authenticated and what an error looks like.
type Provider string

// The providers. OpenAI is also what compatible servers speak.
const (
	Anthropic Provider = "anthropic"
	OpenAI    Provider = "openai"
	Gemini    Provider = "gemini"
)

// API is the format of one endpoint's requests and answers.
type API uint8

// The APIs whose bodies are understood. None is an endpoint without a prompt,
// such as the list of models.
const (
	None            API = iota
	Messages            // Anthropic: POST /v1/messages
	CountTokens         // Anthropic: POST /v1/messages/count_tokens, a Messages request that is not answered by a model
	ChatCompletions     // OpenAI: POST /v1/chat/completions
	Responses           // OpenAI: POST /v1/responses
	Embeddings          // OpenAI: POST /v1/embeddings
	GenerateContent     // Gemini: POST /v1beta/models/{model}:generateContent and :streamGenerateContent
)

// String is the API's name in logs and metrics.
func (a API) String() string {
	switch a {
	case None:
		return "none"
	case Messages:
		return "messages"
	case CountTokens:
		return "count_tokens"
	case ChatCompletions:
		return "chat_completions"
	case Responses:
		return "responses"
	case Embeddings:
		return "embeddings"
	case GenerateContent:
		return "generate_content"
	default:
		return fmt.Sprintf("API(%d)", uint8(a))
	}
}

// Operation is the API's gen_ai.operation.name in OpenTelemetry's semantic
// conventions; empty where they have none.
func (a API) Operation() string {
	switch a {
	case Messages, ChatCompletions, Responses:
		return "chat"
	case GenerateContent:
		return "generate_content"
	case Embeddings:
		return "embeddings"
	default:
		return ""
	}
}

// ToolCall is a tool that the model asks to be run, or has had run by the
// provider.
type ToolCall struct {
	ID        string // empty where the API has none
	Name      string
	Arguments []byte // as the model wrote them: JSON text, or free text for OpenAI's custom tools; not necessarily well-formed
	Remote    bool   // run by the provider, not by the caller (web search, MCP connectors)
}
