package inspect

import "bytes"

// item is a message, an item of Responses, a block or a part, which differ in
// nothing that matters here: each may name a role, a type, a tool or a call, and
// may do so behind the texts that this is about. So the texts are emitted as
// they come, and end gives them what the item turned out to be.
type item struct {
	first     int // its first segment
	role      Role
	kind      []byte // its "type"
	name      []byte
	id        []byte
	callID    []byte
	data      int // the segment of its "data", or -1
	media     []byte
	arguments bool
	thought   bool
}

// content reads a string, an item, or an array of these.
func (p *parser) content(to int32) {
	switch p.peek() {
	case '"':
		p.emit(to, KindText, p.string())
	case '[':
		for a := p.array(to); p.nextElement(&a); {
			p.content(a.to)
		}
	case '{':
		p.item(to, roleOpen)
	default:
		p.scalar()
	}
}

// item reads one item, of role unless it names its own.
func (p *parser) item(to int32, role Role) item {
	it := item{first: len(p.req.Segments), role: role, data: -1}
	if p.depth >= maxContent { // end is done once for each item around a segment
		p.collect(to, asText)
		return it
	}
	for o := p.object(to); p.next(&o); {
		p.itemField(&it, &o)
	}
	p.end(&it)
	return it
}

// itemField reads the value of one member of it.
func (p *parser) itemField(it *item, o *object) {
	first := len(p.req.Segments)
	isString := p.peek() == '"'
	name := o.name
	switch f := p.field(o); f {
	case fieldContent, fieldText, fieldCall:
		p.content(o.to)
	case fieldReasoning:
		p.content(o.to)
		p.reason(first)
	case fieldArguments, fieldInput:
		it.arguments = true
		p.collect(o.to, asArguments)
	case fieldResult:
		if p.peek() == '{' {
			p.item(o.to, RoleTool)
		} else {
			p.content(o.to)
		}
		p.assume(first, RoleTool)
	case fieldResponse:
		p.collect(o.to, asText) // a tool's own JSON, whose names mean nothing here
		p.assume(first, RoleTool)
	case fieldTools, fieldSettings:
		p.collectNamed(o.to, o.name, asSettings)
	case fieldThought:
		it.thought = p.peek() == 't'
		p.collect(o.to, asText)
	case fieldFunction:
		if p.peek() != '{' {
			p.content(o.to)
			break
		}
		inner := p.item(o.to, roleOpen)
		it.arguments = it.arguments || inner.arguments
		it.name = inner.name
	case fieldRole, fieldType, fieldID, fieldCallID, fieldName, fieldData, fieldWord, fieldLabel:
		if !isString {
			p.content(o.to)
			break
		}
		s := p.string()
		switch string(name) {
		case "media_type", "mimeType", "mime_type":
			it.media = s
		}
		p.attribute(it, f, o.to, s)
	default:
		p.emitName(o, KindText)
		p.collect(o.to, asText)
	}
}

// attribute takes a string that says something of the item.
func (p *parser) attribute(it *item, f field, to int32, s []byte) {
	switch f {
	case fieldRole, fieldType:
		if f == fieldRole {
			it.role = roleOf(s)
		} else {
			it.kind = s
		}
		if !isTypeName(s) {
			p.emit(to, KindText, s)
		}
		return
	case fieldData:
		if p.emitData(to, s); len(s) > 0 {
			it.data = len(p.req.Segments) - 1
		}
		return
	case fieldID:
		it.id = s
	case fieldCallID:
		it.callID = s
	case fieldName:
		it.name = s
	}
	p.emitWord(to, s)
}

// reason makes reasoning of the texts from first on.
func (p *parser) reason(first int) {
	for i := range p.req.Segments[first:] {
		if s := &p.req.Segments[first+i]; s.Kind == KindText {
			s.Kind = KindReasoning
		}
	}
}

// end gives the item's segments the role, kind and tool that it has turned out
// to be of.
func (p *parser) end(it *item) {
	role := it.impliedRole()
	if role == roleOpen {
		role = it.role
	}
	reasoning := it.thought || string(it.kind) == "thinking" || string(it.kind) == "reasoning"
	tool := ""
	for i := it.first; i < len(p.req.Segments); i++ {
		s := &p.req.Segments[i]
		if s.Role == roleOpen {
			s.Role = role
		}
		if i == it.data && string(it.kind) == "text" { // a document's source: {"type":"text","data":"…"}
			s.Kind, s.Attached = KindText, true
		}
		if i == it.data {
			s.declared = isTextMedia(it.media)
		}
		if reasoning && s.Kind == KindText {
			s.Kind = KindReasoning
		}
		if s.Tool == "" && (s.Role == RoleTool || s.Kind == KindArguments) {
			if tool == "" {
				tool = p.toolOf(it)
			}
			s.Tool = tool
		}
	}
	if string(it.kind) == "item_reference" {
		p.refer(RefItem, it.id)
	}
	p.remember(it)
}

// remember keeps the name of the tool that the item calls for its result, which
// often names only the call.
func (p *parser) remember(it *item) {
	id := it.call()
	if !it.arguments || len(id) == 0 || len(it.name) == 0 {
		return
	}
	if p.calls == nil {
		p.calls = make(map[string]string)
	}
	p.calls[string(id)] = p.shared(it.name)
}

// toolOf returns the name of the tool that the item calls or is the result of,
// or else the call's id.
func (p *parser) toolOf(it *item) string {
	if len(it.name) > 0 {
		return p.shared(it.name)
	}
	id := it.call()
	if name, ok := p.calls[string(id)]; ok {
		return name
	}
	return p.shared(id)
}

// call is the id by which a call and its result refer to each other.
func (it *item) call() []byte {
	if len(it.callID) > 0 {
		return it.callID
	}
	return it.id
}

// impliedRole is the role that the item's type implies, roleOpen if none.
func (it *item) impliedRole() Role {
	switch {
	case string(it.kind) == "model_output": // of Gemini's interactions, as function_result
		return RoleAssistant
	case bytes.HasSuffix(it.kind, []byte("tool_result")),
		string(it.kind) == "function_result",
		bytes.HasSuffix(it.kind, []byte("_output")),
		string(it.kind) == "mcp_list_tools":
		return RoleTool
	case bytes.HasSuffix(it.kind, []byte("tool_use")),
		bytes.HasSuffix(it.kind, []byte("_call")),
		string(it.kind) == "mcp_approval_request",
		string(it.kind) == "reasoning":
		return RoleAssistant
	default:
		return roleOpen
	}
}

// roleOf returns the role that an API's word stands for.
func roleOf(word []byte) Role {
	switch string(word) {
	case "system", "developer":
		return RoleSystem
	case "user":
		return RoleUser
	case "assistant", "model":
		return RoleAssistant
	case "tool", "function":
		return RoleTool
	default:
		return RoleOther
	}
}
