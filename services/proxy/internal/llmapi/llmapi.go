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
	CountTokens         // Anthropic: POST /v1/messages/count_tokens, a Messages request that is not answered by a model; OpenAI's counterpart
	ChatCompletions     // OpenAI: POST /v1/chat/completions
	Responses           // OpenAI: POST /v1/responses, and what it stores
	Embeddings          // OpenAI: POST /v1/embeddings; Gemini: :embedContent, :batchEmbedContents
	GenerateContent     // Gemini: POST /v1beta/models/{model}:generateContent and :streamGenerateContent
	Completions         // OpenAI: POST /v1/completions
	Moderations         // OpenAI: POST /v1/moderations
	Images              // OpenAI: POST /v1/images/generations and the like
	Speech              // OpenAI: POST /v1/audio/speech
	Conversations       // OpenAI: /v1/conversations
	Batches             // requests of the other APIs that are answered later: Anthropic's and OpenAI's batches
	CachedContents      // Gemini: /v1beta/cachedContents
	Transcriptions      // OpenAI: POST /v1/audio/transcriptions and /v1/audio/translations
	Files               // Anthropic and OpenAI: /v1/files; Gemini: /upload/v1beta/files, /v1beta/files
	Interactions        // Gemini: /v1beta/interactions
	Results             // what holds answers to earlier requests: the results of batches, and the contents of files
)

var names = [...]string{
	None: "none", Messages: "messages", CountTokens: "count_tokens", ChatCompletions: "chat_completions",
	Responses: "responses", Embeddings: "embeddings", GenerateContent: "generate_content", Completions: "completions",
	Moderations: "moderations", Images: "images", Speech: "speech", Conversations: "conversations",
	Batches: "batches", CachedContents: "cached_contents", Transcriptions: "transcriptions", Files: "files",
	Results: "results", Interactions: "interactions",
}

// String is the API's name in logs and metrics.
func (a API) String() string {
	if int(a) >= len(names) {
		return fmt.Sprintf("API(%d)", uint8(a))
	}
	return names[a]
}

// Operation is the API's gen_ai.operation.name in OpenTelemetry's semantic
// conventions; empty where they have none.
func (a API) Operation() string {
	switch a {
	case Messages, ChatCompletions, Responses:
		return "chat"
	case GenerateContent, Interactions:
		return "generate_content"
	case Embeddings:
		return "embeddings"
	case Completions:
		return "text_completion"
	default:
		return ""
	}
}

// IsGemini reports whether the API's requests are in Gemini's form.
func (a API) IsGemini() bool { return a == GenerateContent || a == CachedContents }

// ToolCall is a tool that the model asks to be run, or has had run by the
// provider.
type ToolCall struct {
	ID        string // empty where the API has none
	Name      string
	Arguments []byte // as the model wrote them: JSON text, or free text for OpenAI's custom tools; not necessarily well-formed
	Remote    bool   // run by the provider, not by the caller (web search, MCP connectors)
	Stored    bool   // made in an earlier answer, which has been stored and is read again
}
