package inspect

// tools reads the definitions of the tools on offer.
func (p *parser) tools(to int32) {
	switch p.peek() {
	case '[':
		for a := p.array(to); p.nextElement(&a); {
			switch {
			case p.peek() != '{':
				p.collect(a.to, asText)
			case p.req.API.IsGemini():
				p.toolset(a.to)
			default:
				p.tool(a.to)
			}
		}
	case 'n':
		p.scalar()
	case '{': // Google takes one set of tools without the array
		if p.req.API.IsGemini() {
			p.toolset(to)
			return
		}
		fallthrough
	default:
		p.fail(p.pos, "tools is not an array")
	}
}

// toolset reads an element of Gemini's tools: declarations of functions, and a
// member for each tool of the provider's, with its options.
func (p *parser) toolset(to int32) {
	for o := p.object(to); p.next(&o); {
		if p.field(&o) == fieldDeclarations {
			switch p.peek() {
			case '{': // Google takes one without the array
				p.tool(o.to)
				continue
			case '[':
				for a := p.array(o.to); p.nextElement(&a); {
					if p.peek() == '{' {
						p.tool(a.to)
					} else {
						p.collect(a.to, asText)
					}
				}
				continue
			}
		}
		first, start := len(p.req.Segments), p.pos
		p.emitName(&o, KindText)
		p.collectNamed(o.to, o.name, asSettings)
		p.define(first, start, o.name)
		p.referTool(o.name)
	}
}

// tool reads one tool's definition.
func (p *parser) tool(to int32) {
	first, start := len(p.req.Segments), p.pos
	name, kind := p.definition(to)
	p.define(first, start, name)
	p.referTool(kind)
}

// define adds the tool whose definition started at start.
func (p *parser) define(first, start int, name []byte) {
	if p.err != nil {
		return
	}
	tool := Tool{Name: p.shared(name), Definition: p.body[start:p.pos:p.pos]}
	p.req.Tools = append(p.req.Tools, tool)
	for i := range p.req.Segments[first:] {
		p.req.Segments[first+i].Tool = tool.Name
	}
}

// definition reads a definition and returns the tool's name (the function's that
// Chat Completions wraps, else its own, else the server's or the type) and type.
func (p *parser) definition(to int32) (called, kind []byte) {
	var inner, name, label []byte
	for o := p.object(to); p.next(&o); {
		f := p.field(&o)
		p.emitName(&o, KindText)
		switch {
		case f == fieldFunction && p.peek() == '{':
			inner, _ = p.definition(o.to)
		case f == fieldCredential:
			p.collect(o.to, asData)
		case p.peek() != '"':
			p.collectNamed(o.to, o.name, asSettings)
		default:
			s := p.string()
			p.collectString(o.to, o.name, asSettings, s)
			switch f {
			case fieldName:
				name = s
			case fieldLabel:
				label = s
			case fieldType:
				kind = s
			}
		}
	}
	for _, name := range [...][]byte{inner, name, label} {
		if len(name) > 0 {
			return name, kind
		}
	}
	return kind, kind
}

// servers reads the servers whose tools the provider shall use.
func (p *parser) servers(to int32) {
	if p.peek() != '[' {
		p.collect(to, asText)
		return
	}
	for a := p.array(to); p.nextElement(&a); {
		if p.peek() != '{' {
			p.collect(a.to, asText)
			continue
		}
		for o := p.object(a.to); p.next(&o); {
			m := asSettings
			if p.field(&o) == fieldCredential {
				m = asData
			}
			p.emitName(&o, KindText)
			p.collectNamed(o.to, o.name, m)
		}
	}
}
