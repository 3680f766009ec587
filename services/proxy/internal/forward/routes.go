package forward

import (
	"slices"
	"strings"

	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

// row is a route of a provider as the table has it: a method, a path in which {name}
// stands for one segment or a part of one, and the names of the query parameters that
// the API documents for it. A name that ends in [] may come several times, also without
// the brackets.
type row struct {
	text  string
	route Route
	// foreign says that another provider has the same path for something that must not
	// go to the wrong one, such as files. Anthropic's is chosen by the header
	// anthropic-version, which it requires, and OpenAI's by its absence.
	foreign bool
}

// builtin lists what is let through. Left out is what creates credentials that work
// without this proxy (Realtime's client secrets), what administers an organization, and
// what trains models; PROXY_PATHS adds of these what somebody needs.
//
// Sources: https://docs.claude.com/en/api/overview, https://platform.openai.com/docs/api-reference,
// https://ai.google.dev/api/all-methods.
var builtin = map[llmapi.Provider][]row{
	llmapi.Anthropic: {
		{text: "POST /v1/messages", route: Route{API: llmapi.Messages, Body: JSON}},
		{text: "POST /v1/messages/count_tokens", route: Route{API: llmapi.CountTokens, Body: JSON}},
		{text: "POST /v1/messages/batches", route: Route{API: llmapi.Batches, Body: JSON}},
		{text: "GET /v1/messages/batches?limit&after_id&before_id"},
		{text: "GET /v1/messages/batches/{id}"},
		{text: "POST /v1/messages/batches/{id}/cancel", route: Route{Body: OptionalJSON}},
		{text: "DELETE /v1/messages/batches/{id}"},
		{text: "GET /v1/messages/batches/{id}/results", route: Route{API: llmapi.Results}},
		{text: "POST /v1/files", route: Route{API: llmapi.Files, Body: File}, foreign: true},
		{text: "GET /v1/files?limit&after_id&before_id&scope_id", foreign: true},
		{text: "GET /v1/files/{id}", foreign: true},
		{text: "GET /v1/files/{id}/content", route: Route{API: llmapi.Results}, foreign: true},
		{text: "DELETE /v1/files/{id}", foreign: true},
		{text: "GET /v1/models?limit&after_id&before_id"},
		{text: "GET /v1/models/{model}"},
	},
	llmapi.OpenAI: {
		{text: "POST /v1/chat/completions", route: Route{API: llmapi.ChatCompletions, Body: JSON}},
		{text: "POST /v1/completions", route: Route{API: llmapi.Completions, Body: JSON}},
		{text: "POST /v1/responses", route: Route{API: llmapi.Responses, Body: JSON}},
		{text: "POST /v1/responses/compact", route: Route{API: llmapi.Responses, Body: JSON}},
		{text: "POST /v1/responses/input_tokens", route: Route{API: llmapi.CountTokens, Body: JSON}},
		{text: "GET /v1/responses/{id}?include[]&include_obfuscation&starting_after&stream", route: Route{API: llmapi.Responses}},
		{text: "POST /v1/responses/{id}/cancel", route: Route{API: llmapi.Responses, Body: OptionalJSON}},
		{text: "DELETE /v1/responses/{id}"},
		{text: "GET /v1/responses/{id}/input_items?after&before&include[]&limit&order", route: Route{API: llmapi.Responses}},
		{text: "POST /v1/conversations", route: Route{API: llmapi.Conversations, Body: OptionalJSON}},
		{text: "GET /v1/conversations/{id}"},
		{text: "POST /v1/conversations/{id}", route: Route{API: llmapi.Conversations, Body: JSON}},
		{text: "DELETE /v1/conversations/{id}"},
		{text: "POST /v1/conversations/{id}/items?include[]", route: Route{API: llmapi.Conversations, Body: JSON}},
		{text: "GET /v1/conversations/{id}/items?after&include[]&limit&order", route: Route{API: llmapi.Conversations}},
		{text: "GET /v1/conversations/{id}/items/{item}?include[]", route: Route{API: llmapi.Conversations}},
		{text: "DELETE /v1/conversations/{id}/items/{item}"},
		{text: "POST /v1/embeddings", route: Route{API: llmapi.Embeddings, Body: JSON}},
		{text: "POST /v1/moderations", route: Route{API: llmapi.Moderations, Body: JSON}},
		{text: "POST /v1/images/generations", route: Route{API: llmapi.Images, Body: JSON}},
		{text: "POST /v1/images/edits", route: Route{API: llmapi.Images, Body: File}},
		{text: "POST /v1/images/variations", route: Route{API: llmapi.Images, Body: File}},
		{text: "POST /v1/audio/speech", route: Route{API: llmapi.Speech, Body: JSON}},
		{text: "POST /v1/audio/transcriptions", route: Route{API: llmapi.Transcriptions, Body: File}},
		{text: "POST /v1/audio/translations", route: Route{API: llmapi.Transcriptions, Body: File}},
		{text: "POST /v1/files", route: Route{API: llmapi.Files, Body: File}, foreign: true},
		{text: "GET /v1/files?after&limit&order&purpose", foreign: true},
		{text: "GET /v1/files/{id}", foreign: true},
		{text: "GET /v1/files/{id}/content", route: Route{API: llmapi.Results}, foreign: true},
		{text: "DELETE /v1/files/{id}", foreign: true},
		{text: "POST /v1/batches", route: Route{API: llmapi.Batches, Body: JSON}},
		{text: "GET /v1/batches?after&limit"},
		{text: "GET /v1/batches/{id}"},
		{text: "POST /v1/batches/{id}/cancel", route: Route{Body: OptionalJSON}},
		{text: "GET /v1/models?after&limit"},
		{text: "GET /v1/models/{model}"},
	},
	llmapi.Gemini: {
		{text: "POST /v1beta/models/{model}:generateContent", route: Route{API: llmapi.GenerateContent, Body: JSON}},
		{text: "POST /v1beta/models/{model}:streamGenerateContent", route: Route{API: llmapi.GenerateContent, Body: JSON, Stream: true}},
		// Its body is the same, or has the same in a field, so that it is inspected.
		{text: "POST /v1beta/models/{model}:countTokens", route: Route{API: llmapi.GenerateContent, Body: JSON}},
		{text: "POST /v1beta/models/{model}:embedContent", route: Route{API: llmapi.Embeddings, Body: JSON}},
		{text: "POST /v1beta/models/{model}:batchEmbedContents", route: Route{API: llmapi.Embeddings, Body: JSON}},
		{text: "POST /v1beta/models/{model}:batchGenerateContent", route: Route{API: llmapi.Batches, Body: JSON}},
		{text: "POST /v1beta/models/{model}:asyncBatchEmbedContent", route: Route{API: llmapi.Batches, Body: JSON}},
		{text: "GET /v1beta/batches?pageSize&pageToken&filter"},
		{text: "GET /v1beta/batches/{id}", route: Route{API: llmapi.Results}},
		{text: "POST /v1beta/batches/{id}:cancel", route: Route{Body: OptionalJSON}},
		{text: "DELETE /v1beta/batches/{id}"},
		{text: "POST /upload/v1beta/files?uploadType&upload_id&upload_protocol", route: Route{API: llmapi.Files, Body: File}},
		{text: "PUT /upload/v1beta/files?uploadType&upload_id&upload_protocol", route: Route{API: llmapi.Files, Body: File}},
		{text: "GET /v1beta/files?pageSize&pageToken"},
		{text: "GET /v1beta/files/{id}:download", route: Route{API: llmapi.Results}},
		{text: "GET /v1beta/files/{id}"},
		{text: "GET /download/v1beta/files/{id}:download", route: Route{API: llmapi.Results}},
		{text: "DELETE /v1beta/files/{id}"},
		{text: "POST /v1beta/interactions", route: Route{API: llmapi.Interactions, Body: JSON}},
		{text: "GET /v1beta/interactions/{id}?stream&last_event_id&include_input", route: Route{API: llmapi.Interactions}},
		{text: "POST /v1beta/interactions/{id}/cancel", route: Route{API: llmapi.Interactions, Body: OptionalJSON}},
		{text: "DELETE /v1beta/interactions/{id}"},
		{text: "POST /v1beta/cachedContents", route: Route{API: llmapi.CachedContents, Body: JSON}},
		{text: "GET /v1beta/cachedContents?pageSize&pageToken"},
		{text: "GET /v1beta/cachedContents/{id}"},
		{text: "PATCH /v1beta/cachedContents/{id}?updateMask", route: Route{API: llmapi.CachedContents, Body: JSON}},
		{text: "DELETE /v1beta/cachedContents/{id}"},
		{text: "GET /v1beta/models?pageSize&pageToken"},
		{text: "GET /v1beta/models/{model}"},
	},
}

// always are the query parameters that a provider's clients send to any route.
var always = map[llmapi.Provider][]string{
	llmapi.Anthropic: {"beta"},
	// $alt is Google's own clients' name for alt: https://cloud.google.com/apis/docs/system-parameters.
	llmapi.Gemini: {"alt", "$alt"},
}

// geminiVersions are the other versions of Gemini's API, which have what a model is asked
// at the same paths: https://ai.google.dev/gemini-api/docs/api-versions.
var geminiVersions = []string{"v1", "v1alpha"}

// azureParameter is the version of Azure OpenAI's API, which its clients name in each query.
const azureParameter = "api-version"

// rowsOf are the rows of a service, with those of its API's other versions.
func rowsOf(s Service) []row {
	rows := builtin[s.Provider]
	all := slices.Clone(rows)
	for _, r := range rows {
		if method, path, ok := strings.Cut(r.text, " /v1beta/models/{model}:"); ok {
			for _, version := range geminiVersions {
				r.text = method + " /" + version + "/models/{model}:" + path
				all = append(all, r)
			}
		}
		if s.Azure {
			all = append(all, azureRows(r)...)
		}
	}
	return all
}

// azureRows are the further paths of a row at Azure OpenAI: as OpenAI has them below
// /openai/v1, and with dated versions of the API below /openai, where what a model is asked
// names its deployment instead of the model.
//
// Source: https://learn.microsoft.com/en-us/azure/ai-foundry/openai/reference.
func azureRows(r row) []row {
	method, path, _ := strings.Cut(r.text, " /v1/")
	var rows []row
	for _, prefix := range []string{" /openai/v1/", " /openai/", " /openai/deployments/{model}/"} {
		if prefix == " /openai/deployments/{model}/" && !deployed(path) {
			continue
		}
		r.text = method + prefix + path
		rows = append(rows, r)
	}
	return rows
}

// deployed reports whether a path asks one model.
func deployed(path string) bool {
	return slices.ContainsFunc([]string{"chat/", "completions", "embeddings", "images/", "audio/"}, func(begin string) bool {
		return strings.HasPrefix(path, begin)
	})
}
