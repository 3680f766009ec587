package inspect

// How collect classifies strings.
type manner uint8

const (
	asText      manner = iota // every string as text
	asArguments               // every string as a tool call's arguments
	asData                    // every string as data, even one with spaces: credentials
	asSettings                // plain words as data, descriptions and the rest as text: definitions and options
)

func (m manner) kind() Kind {
	switch m {
	case asArguments:
		return KindArguments
	case asData:
		return KindData
	default:
		return KindText
	}
}

// collect reads a value of any form and emits every string in it.
func (p *parser) collect(to int32, m manner) {
	p.collectNamed(to, nil, m)
}

// collectNamed is collect for the value of a member.
func (p *parser) collectNamed(to int32, name []byte, m manner) {
	switch p.peek() {
	case '"':
		p.collectString(to, name, m, p.string())
	case '[':
		for a := p.array(to); p.nextElement(&a); {
			p.collectNamed(a.to, nil, m)
		}
	case '{':
		for o := p.object(to); p.next(&o); {
			p.emitName(&o, m.kind())
			p.collectNamed(o.to, o.name, m)
		}
	default:
		p.scalar()
	}
}

// collectString is collectNamed for the string s.
func (p *parser) collectString(to int32, name []byte, m manner, s []byte) {
	switch {
	case m != asSettings || string(name) == "description":
		p.emit(to, m.kind(), s)
	case string(name) != "type" || !isTypeName(s):
		p.emitWord(to, s)
	}
}

// emitName emits the name of a member that is not understood unless it is a
// plain word: the model may see it like any text.
func (p *parser) emitName(o *object, kind Kind) {
	if !isWord(o.name) {
		p.emit(o.to, kind, o.name)
	}
}

// isTypeName reports whether s, the value of "type" or "role", can be nothing
// but that.
func isTypeName(s []byte) bool {
	return len(s) <= 64 && isWord(s)
}
