package inspect

import (
	"unicode"
	"unicode/utf8"
)

// field is what a member's name means in a place where the API defines the
// names: in the body, a message, a block, a part or a tool's definition. What a
// field means in each place is in top.go, content.go and tool.go.
type field uint8

const (
	fieldUnknown field = iota
	fieldMiscased

	// Of the body.
	fieldModel
	fieldStream
	fieldStreamOptions
	fieldIncludeUsage
	fieldMessages
	fieldContents
	fieldSystem
	fieldPrompt
	fieldTools
	fieldServers
	fieldSettings
	fieldItems
	fieldRequests
	fieldRequest

	// Of content.
	fieldRole
	fieldType
	fieldID
	fieldCallID
	fieldName
	fieldContent
	fieldText
	fieldData
	fieldWord
	fieldReasoning
	fieldThought
	fieldArguments
	fieldResult
	fieldResponse
	fieldCall

	// With a meaning in several places.
	fieldInput
	fieldFunction
	fieldDeclarations
	fieldLabel
	fieldCredential
)

// fieldOf returns the meaning of a name. Gemini takes both spellings of its own.
//
// Sources: https://docs.claude.com/en/api/messages,
// https://platform.openai.com/docs/api-reference/chat/create,
// https://platform.openai.com/docs/api-reference/responses/create,
// https://platform.openai.com/docs/api-reference/embeddings/create,
// https://platform.openai.com/docs/api-reference/conversations/create,
// https://platform.openai.com/docs/guides/batch, https://docs.claude.com/en/api/creating-message-batches,
// https://ai.google.dev/api/generate-content, https://ai.google.dev/api/embeddings, https://ai.google.dev/api/batch-api.
func fieldOf(name []byte) field {
	switch string(name) {
	case "model":
		return fieldModel
	case "stream":
		return fieldStream
	case "stream_options":
		return fieldStreamOptions
	case "include_usage":
		return fieldIncludeUsage
	case "messages":
		return fieldMessages
	case "contents":
		return fieldContents
	case "system", "instructions", "systemInstruction", "system_instruction":
		return fieldSystem
	case "prompt":
		return fieldPrompt
	case "tools", "functions":
		return fieldTools
	case "mcp_servers":
		return fieldServers
	case "tool_choice", "toolConfig", "tool_config", "response_format", "thinking_config", "reasoning_effort",
		"generationConfig", "generation_config", "safetySettings", "safety_settings",
		"output_config", "output_format", "web_search_options", "container", "conversation", "context_management", "metadata", "include", "modalities",
		"service_tier", "truncation", "encoding_format", "verbosity", "user", "safety_identifier",
		"prompt_cache_key", "prompt_cache_retention", "previous_response_id", "previous_interaction_id", "cachedContent", "cached_content":
		return fieldSettings

	case "items":
		return fieldItems
	case "requests", "batch", "inputConfig", "input_config":
		return fieldRequests
	case "params", "body", "request", "generateContentRequest":
		return fieldRequest

	case "role":
		return fieldRole
	case "type":
		return fieldType
	case "id":
		return fieldID
	case "call_id", "tool_use_id", "tool_call_id":
		return fieldCallID
	case "name":
		return fieldName
	case "content", "parts", "source", "title", "context", "citations", "annotations", "cache_control", "caller",
		"refusal", "input_audio", "video", "file", "summary", "error", "tool_calls", "prediction",
		"inlineData", "inline_data", "fileData":
		return fieldContent
	case "text", "audio":
		return fieldText
	case "data", "url", "image_url", "server_url", "file_data", "file_url", "file_id", "fileUri", "file_uri",
		"signature", "thoughtSignature", "thought_signature", "encrypted_content", "encrypted_index", "result":
		return fieldData
	case "media_type", "mimeType", "mime_type", "format", "detail", "status", "ttl", "language", "outcome", "phase",
		"stop_reason", "server_name", "item_id", "approval_request_id", "environment":
		return fieldWord
	case "thinking", "reasoning", "reasoning_content", "reasoning_details":
		return fieldReasoning
	case "thought":
		return fieldThought
	case "arguments", "args", "action", "code", "operation", "queries":
		return fieldArguments
	case "output", "outputs", "results", "functionResponse", "function_response",
		"codeExecutionResult", "code_execution_result":
		return fieldResult
	case "response":
		return fieldResponse
	case "function_call", "functionCall", "executableCode", "executable_code":
		return fieldCall

	case "input":
		return fieldInput
	case "function", "custom":
		return fieldFunction
	case "functionDeclarations", "function_declarations":
		return fieldDeclarations
	case "server_label":
		return fieldLabel
	case "authorization_token", "authorization", "headers":
		return fieldCredential

	// The names above that are not in lower case, as they are folded.
	case "systeminstruction", "toolconfig", "generationconfig", "safetysettings", "cachedcontent",
		"inlinedata", "filedata", "fileuri", "thoughtsignature", "mimetype", "functionresponse",
		"codeexecutionresult", "inputconfig", "generatecontentrequest", "functioncall", "executablecode", "functiondeclarations":
		return fieldMiscased
	}
	return fieldUnknown
}

// field returns the meaning of o.name. It refuses a known name in another case:
// to Go's encoding/json, which compatible servers use, it is the known name; to
// other parsers it is not.
func (p *parser) field(o *object) field {
	f := fieldOf(o.name)
	if f == fieldUnknown {
		var room [32]byte
		if fieldOf(fold(room[:0], o.name)) != fieldUnknown {
			f = fieldMiscased
		}
	}
	if f == fieldMiscased {
		p.fail(int(^o.to), "a name is written in another case than the API's")
	}
	return f
}

// fold appends name as encoding/json compares it to the names of fields, cut
// where it is longer than any of these.
func fold(to, name []byte) []byte {
	for len(name) > 0 && len(to) < cap(to)-utf8.UTFMax {
		r, size := utf8.DecodeRune(name)
		to = utf8.AppendRune(to, foldRune(r))
		name = name[size:]
	}
	return to
}

// foldRune returns the lower-case ASCII letter that r is in another case, else r.
func foldRune(r rune) rune {
	for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
		if f >= 'a' && f <= 'z' {
			return f
		}
	}
	return r
}
