package inspect

import (
	"strings"

	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

// top reads the body, or a request in it.
func (p *parser) top(to int32) {
	for o := p.object(to); p.next(&o); {
		first := len(p.req.Segments)
		switch string(o.name) {
		case "web_search_options", "search_parameters", "plugins":
			p.refer(RefTool, o.name)
		}
		switch p.field(&o) {
		case fieldModel:
			p.model(&o, to == root)
		case fieldStream:
			if streams := p.flag("stream is neither true nor false"); to == root {
				p.req.Stream = streams
			}
		case fieldStreamOptions:
			p.streamOptions(o.to)
		case fieldMessages:
			p.contentOf(o.to, "messages is not an array", '[')
		case fieldContents:
			p.contentOf(o.to, "contents is not an array", '[')
			p.assume(first, RoleUser)
		case fieldInput:
			starts := []byte{'[', '"'}
			if p.req.API == llmapi.Interactions {
				starts = append(starts, '{')
			}
			p.contentOf(o.to, "input is neither a string nor an array", starts...)
			p.assume(first, RoleUser)
		case fieldSystem:
			p.content(o.to)
			p.assume(first, RoleSystem)
		case fieldPrompt:
			p.collect(o.to, asText)
			p.assume(first, RoleUser)
		case fieldTools:
			p.tools(o.to)
		case fieldServers:
			p.servers(o.to)
		case fieldSettings, fieldText, fieldReasoning, fieldCall:
			p.collectNamed(o.to, o.name, asSettings)
			p.session(first, o.name)
		case fieldItems:
			p.content(o.to)
			p.assume(first, RoleUser)
		case fieldRequests, fieldRequest:
			p.requests(&o)
		case fieldContent: // a prediction of the answer; at any other name a guess, but one that reads all
			p.content(o.to)
			if p.req.API == llmapi.Embeddings {
				p.assume(first, RoleUser)
			}
		default:
			p.emitName(&o, KindText)
			p.collect(o.to, asText)
		}
	}
}

// requests reads a request within the body, or several: those of a batch, which is
// answered later, and the one of which the tokens are counted. Where an API has none, the
// same name is a member like any other.
func (p *parser) requests(o *object) {
	switch api := p.req.API; {
	case api != llmapi.Batches && api != llmapi.Embeddings && !api.IsGemini():
	case p.depth >= maxContent:
	case p.peek() == '{':
		p.top(o.to)
		return
	case p.peek() == '[':
		for a := p.array(o.to); p.nextElement(&a); {
			if p.peek() == '{' {
				p.top(a.to)
			} else {
				p.collect(a.to, asText)
			}
		}
		return
	}
	p.emitName(o, KindText)
	p.collect(o.to, asText)
}

// model reads the body's model, or that of a request in it. Gemini has it in the path and
// ignores this one.
func (p *parser) model(o *object, outer bool) {
	if p.req.API.IsGemini() || !outer {
		first := len(p.req.Segments)
		p.collect(o.to, asSettings)
		if p.inner == "" && len(p.req.Segments) > first {
			p.inner = string(p.req.Segments[first].Text)
		}
		return
	}
	if p.peek() != '"' {
		p.fail(p.pos, "model is not a string")
		return
	}
	p.req.Model = string(p.string())
	if i := strings.LastIndexByte(p.req.Model, ':'); i >= 0 && p.req.Model[i:] == ":online" { // OpenRouter searches first
		p.refer(RefTool, []byte(p.req.Model[i:]))
	}
}

// session takes the name of the session from the settings of that name, which began at
// the segment first.
func (p *parser) session(first int, name []byte) {
	switch string(name) {
	case "prompt_cache_key":
	case "metadata":
		if p.req.Session != "" {
			return
		}
	default:
		return
	}
	for i := range p.req.Segments[first:] {
		s := &p.req.Segments[first+i]
		switch strings.Join(p.way(s.where), ".") {
		case "prompt_cache_key", "metadata.user_id":
			p.req.Session = string(s.Text)
		}
	}
}

// flag reads true, false or null, which is false. Lenient servers take "true"
// or 1 for true, so that anything else is refused.
func (p *parser) flag(otherwise string) bool {
	switch p.peek() {
	case 't', 'f', 'n':
		return string(p.scalar()) == "true"
	default:
		p.fail(p.pos, otherwise)
		return false
	}
}

// streamOptions reads stream_options.
func (p *parser) streamOptions(to int32) {
	switch p.peek() {
	case '{':
	case 'n':
		p.scalar()
		return
	default:
		p.fail(p.pos, "stream_options is not an object")
		return
	}
	for o := p.object(to); p.next(&o); {
		if p.field(&o) == fieldIncludeUsage {
			p.req.IncludeUsage = p.flag("include_usage is neither true nor false")
			continue
		}
		p.emitName(&o, KindText)
		p.collect(o.to, asText)
	}
}

// contentOf is content for a member whose value must begin with one of starts.
func (p *parser) contentOf(to int32, otherwise string, starts ...byte) {
	c := p.peek()
	for _, start := range starts {
		if c == start {
			p.content(to)
			return
		}
	}
	p.fail(p.pos, otherwise)
}
