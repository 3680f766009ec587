package answer

import (
	"github.com/go-json-experiment/json/jsontext"

	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

// meter reads on the side what an answer says of itself that passes as it comes,
// because its API holds no calls: embeddings, images, transcripts. It picks a few
// members of the outermost objects, one after the other, and keeps nothing else: a
// body as well as a stream of events, and a list of objects, look the same to it.
type meter struct {
	*gate
	input bool // the API has no output

	depth   int  // of the brackets that are open
	quoted  bool // within a string
	escaped bool // behind a backslash
	isName  bool // the string is the name of an outermost member, if a colon follows
	wanted  bool // the value at this place is
	text    []byte
	name    string
	members map[string]jsontext.Value
}

// maxMember is how long a value is that is looked at.
const maxMember = 64 << 10

// meterMembers are those that are picked.
var meterMembers = map[string]bool{"id": true, "responseId": true, "model": true, "modelVersion": true, "usage": true, "usageMetadata": true, "error": true}

func newMeter(o Options, g *gate) *meter {
	return &meter{gate: g, input: o.API == llmapi.Embeddings, members: make(map[string]jsontext.Value)}
}

// write looks at a further piece of the body.
func (m *meter) write(piece []byte) {
	for _, c := range piece {
		m.next(c)
	}
}

func (m *meter) next(c byte) {
	if m.quoted {
		m.keep(c)
		switch {
		case m.escaped:
			m.escaped = false
		case c == '\\':
			m.escaped = true
		case c == '"':
			m.quoted = false
		}
		return
	}
	switch c {
	case '"':
		if m.depth == 0 {
			return // not within an object
		}
		m.quoted = true
		if m.depth == 1 && !m.wanted && m.name == "" {
			m.isName, m.text = true, m.text[:0]
		}
		m.keep(c)
	case ':':
		if m.isName && m.depth == 1 {
			var name text
			try(m.text, &name)
			m.isName, m.name = false, string(name)
			m.wanted, m.text = meterMembers[m.name], m.text[:0]
			return
		}
		m.keep(c)
	case '{', '[':
		if m.depth == 0 && c == '[' {
			return
		}
		m.depth++
		m.keep(c)
	case ',', '}', ']':
		if m.depth == 1 {
			m.member()
		} else {
			m.keep(c)
		}
		if c == ',' || m.depth == 0 {
			return
		}
		if m.depth--; m.depth == 0 {
			m.object()
		}
	default:
		m.keep(c)
	}
}

// keep keeps a byte of a name or of a value that is wanted.
func (m *meter) keep(c byte) {
	if (m.isName || m.wanted) && len(m.text) < maxMember {
		m.text = append(m.text, c)
	}
}

// member is the end of an outermost member.
func (m *meter) member() {
	if m.wanted && len(m.text) < maxMember {
		if value := jsontext.Value(m.text).Clone(); value.IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) {
			m.members[m.name] = value
		}
	}
	m.isName, m.wanted, m.name, m.text = false, false, "", m.text[:0]
}

// object is the end of an outermost object.
func (m *meter) object() {
	of := func(names ...string) jsontext.Value {
		for _, name := range names {
			if value := m.members[name]; len(value) > 0 {
				return value
			}
		}
		return nil
	}
	if model := of("model", "modelVersion"); model != nil { // else the id is that of something stored
		m.identify(word(of("id", "responseId")), word(model))
	}
	m.fail(of("error"))
	if data := of("usage"); data.Kind() == '{' {
		u := openAITokens(data)
		if m.input {
			u.embedded(data)
		}
		m.tally(u, true)
	} else if data := of("usageMetadata"); data.Kind() == '{' {
		m.tally(geminiTokens(data), true)
	}
	clear(m.members)
}

// embedded makes usage that of embeddings, of which some servers state the total alone:
// https://docs.voyageai.com/reference/embeddings-api.
func (u *counted) embedded(data jsontext.Value) {
	if !u.input && !u.output {
		u.Input, u.input = readUsage(data).count([]string{"total_tokens"})
	}
	u.output = u.output || u.input
}
