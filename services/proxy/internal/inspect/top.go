package inspect

import "github.com/openclaw-security/bus/services/proxy/internal/llmapi"

// top reads the body.
func (p *parser) top() {
	for o := p.object(root); p.next(&o); {
		first := len(p.req.Segments)
		switch p.field(&o) {
		case fieldModel:
			p.model(&o)
		case fieldStream:
			p.req.Stream = p.flag("stream is neither true nor false")
		case fieldStreamOptions:
			p.streamOptions(o.to)
		case fieldMessages:
			p.contentOf(o.to, "messages is not an array", '[')
		case fieldContents:
			p.contentOf(o.to, "contents is not an array", '[')
			p.assume(first, RoleUser)
		case fieldInput:
			p.contentOf(o.to, "input is neither a string nor an array", '[', '"')
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
		case fieldContent: // a prediction of the answer; at any other name a guess, but one that reads all
			p.content(o.to)
		default:
			p.emitName(&o, KindText)
			p.collect(o.to, asText)
		}
	}
}

// model reads the body's model. Gemini has it in the path and ignores this one.
func (p *parser) model(o *object) {
	if p.req.API == llmapi.GenerateContent {
		p.collect(o.to, asSettings)
		return
	}
	if p.peek() != '"' {
		p.fail(p.pos, "model is not a string")
		return
	}
	p.req.Model = string(p.string())
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
