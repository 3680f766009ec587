package inspect

import (
	"bytes"
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

// Reference is content that the body does not hold but names: the provider fetches
// it, or has stored it, and gives it to the model. Or it is a service that the
// provider lets the model talk to.
type Reference struct {
	Kind ReferenceKind
	Name string // the host, id or type, as far as the body says; any text, of maxReferenceName bytes at most
}

// ReferenceKind is what a [Reference] leads to.
type ReferenceKind string

// The kinds, in words for a person.
const (
	RefURL          ReferenceKind = "a URL"
	RefMCP          ReferenceKind = "an MCP server"
	RefConnector    ReferenceKind = "a connector"
	RefTool         ReferenceKind = "a tool that the provider runs"
	RefFile         ReferenceKind = "a stored file"
	RefPrompt       ReferenceKind = "a stored prompt"
	RefResponse     ReferenceKind = "an earlier response"
	RefConversation ReferenceKind = "a stored conversation"
	RefItem         ReferenceKind = "a stored item"
	RefCache        ReferenceKind = "cached content"
	RefContainer    ReferenceKind = "a container"
	RefSkill        ReferenceKind = "a skill"
)

const (
	maxReferences    = 64 // of one request, each once
	maxReferenceName = 100
)

// refer adds a reference unless it is known.
func (p *parser) refer(kind ReferenceKind, name []byte) {
	r := Reference{kind, strings.ToValidUTF8(string(name[:min(len(name), maxReferenceName)]), "")}
	if len(p.req.References) < maxReferences && !slices.Contains(p.req.References, r) {
		p.req.References = append(p.req.References, r)
	}
}

// references finds the references among the strings by where they stand. Tools and
// items are referred to by their types, as they are read.
func (p *parser) references() {
	for i := range p.req.Segments {
		s := &p.req.Segments[i]
		if s.Kind == KindArguments || s.Attached {
			continue
		}
		name := p.memberOf(s.where)
		kind := kindOf(name)
		if kind == RefItem && s.where.from != root { // a history has many ids
			switch string(p.memberOf(p.paths.containers[s.where.from])) {
			case "prompt", "conversation", "container", "plugins", "audio":
			default:
				continue
			}
		}
		if kind != "" {
			p.referBy(kind, name, s)
		}
	}
}

// kindOf is what a member of that name may refer to, empty for nothing.
func kindOf(name []byte) ReferenceKind {
	switch string(name) {
	case "url", "image_url", "file_url", "video_url", "audio_url", "document_url", "fileUri", "file_uri":
		return RefURL
	case "server_url":
		return RefMCP
	case "connector_id":
		return RefConnector
	case "file_id", "file_ids", "input_file_id", "vector_store_ids", "fileSearchStoreNames", "file_search_store_names":
		return RefFile
	case "fileName", "file_name": // of Gemini's batches
		return RefFile
	case "previous_response_id", "previous_interaction_id":
		return RefResponse
	case "conversation":
		return RefConversation
	case "cachedContent", "cached_content":
		return RefCache
	case "container":
		return RefContainer
	case "skill_id":
		return RefSkill
	case "id": // of what it stands in
		return RefItem
	}
	return ""
}

// referBy adds the reference that s, the value of a member of that name, is.
func (p *parser) referBy(kind ReferenceKind, name []byte, s *Segment) {
	way := p.way(s.where)
	for len(way) > 1 && (fieldOf([]byte(way[0])) == fieldRequests || fieldOf([]byte(way[0])) == fieldRequest) {
		way = way[1:] // in a request of a batch
	}
	top, parent := way[0], ""
	if len(way) > 1 {
		parent = way[len(way)-2]
	}
	for _, inner := range way[1:] {
		switch inner {
		// What a tool has answered, or the model has quoted, and schemas of arguments.
		case "response", "citations", "annotations", "arguments", "args", "parameters", "input_schema", "parametersJsonSchema":
			return
		}
	}
	switch kind {
	case RefFile:
		if strings.HasPrefix(strings.ToLower(strings.ReplaceAll(string(name), "_", "")), "filename") && p.req.API != llmapi.Batches {
			return
		}
	case RefItem:
		switch {
		case top == "prompt" && len(way) == 2:
			kind = RefPrompt
		case top == "conversation":
			kind = RefConversation
		case top == "container":
			kind = RefContainer
		case top == "plugins":
			kind = RefTool
		case parent == "audio":
		default:
			return
		}
	case RefURL:
		if bytes.HasPrefix(bytes.ToLower(s.Text[:min(len(s.Text), 5)]), []byte("data:")) {
			return
		}
		if top == "mcp_servers" {
			kind = RefMCP
		} else if string(name) == "url" && (parent == "content" || parent == "results" || parent == "sources" || parent == "action" || parent == "output") {
			return // of a search's result
		} else if p.req.API == llmapi.Batches && string(name) == "url" && len(way) == 1 {
			return // the path of a request of OpenAI's batch
		}
		p.refer(kind, hostOf(s.Text))
		return
	case RefMCP:
		p.refer(kind, hostOf(s.Text))
		return
	case RefResponse, RefConversation, RefCache:
		if len(way) > 1 {
			return
		}
	case RefContainer:
		if top != "container" && top != "tools" {
			return
		}
	}
	p.refer(kind, s.Text)
}

// hostOf is the host of a URL, or the URL itself if it has none.
func hostOf(text []byte) []byte {
	if u, err := url.Parse(string(text[:min(len(text), 4<<10)])); err == nil && u.Host != "" {
		return []byte(u.Hostname())
	}
	return text
}

// memberOf is the name of the innermost member that s leads to.
func (p *parser) memberOf(s step) []byte {
	for ; s.from != root; s = p.paths.containers[s.from] {
		if s.to < 0 {
			return p.nameAt(int(^s.to))
		}
	}
	return nil
}

// way is the names of the members that lead to s, the outermost first; it has one
// at least if memberOf finds one.
func (p *parser) way(s step) []string {
	var way []string
	for ; s.from != root; s = p.paths.containers[s.from] {
		if s.to < 0 {
			way = append(way, string(p.nameAt(int(^s.to))))
		}
	}
	slices.Reverse(way)
	return way
}

// nameAt is the name whose opening quote stands at offset, decoded.
func (p *parser) nameAt(offset int) []byte {
	start := offset + 1
	end := plain(p.body, start)
	if end < len(p.body) && p.body[end] == '"' {
		return p.body[start:end]
	}
	var name string
	if json.NewDecoder(bytes.NewReader(p.body[offset:])).Decode(&name) != nil {
		return nil
	}
	return []byte(name)
}

// referTool adds the tool of that type, or that Gemini calls so, if the provider runs
// it. What is not known to be run by the client is not.
func (p *parser) referTool(kind []byte) {
	word := strings.ToLower(string(kind[:min(len(kind), maxWord)]))
	switch {
	case word == "" || word == "mcp": // the latter has a server
		return
	case p.req.API.IsGemini():
		if word == "computeruse" || word == "computer_use" || word == "functiondeclarations" || word == "function_declarations" {
			return
		}
	default:
		for _, own := range []string{"function", "custom", "namespace", "bash_", "text_editor_", "str_replace_", "computer_", "computer", "memory_", "local_shell", "shell", "apply_patch", "tool_search", "image_generation"} {
			if word == own || strings.HasPrefix(word, own) && (strings.HasSuffix(own, "_") || own == "tool_search") {
				return
			}
		}
	}
	p.refer(RefTool, kind)
}
