package answer

import (
	"fmt"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

// geminiPiece is a piece of a call's arguments: of the value at a JSON path.
//
// Source: https://cloud.google.com/vertex-ai/generative-ai/docs/multimodal/function-calling
// (streaming arguments of function calls).
type geminiPiece struct {
	Path   text           `json:"jsonPath"`
	String *text          `json:"stringValue"`
	Number jsontext.Value `json:"numberValue"`
	Bool   jsontext.Value `json:"boolValue"`
}

// geminiPieces is a call that comes in pieces. Its arguments are put together as an
// object that has a member for each path.
type geminiPieces struct {
	call   *call
	path   string
	begun  bool
	quoted bool // the value at path is a string, to which more may come
}

// piece adds a part of a function call in pieces. The last is one that does not say
// that more will come.
func (g *gemini) piece(candidate int, part *geminiCall) error {
	p := g.pieces[candidate]
	if p == nil {
		c, err := g.begin(key{choice: candidate}, llmapi.ToolCall{ID: string(part.ID), Name: part.Name})
		if err != nil {
			return err
		}
		c.withheld = !g.asked
		p = &geminiPieces{call: c}
		if g.pieces == nil {
			g.pieces = make(map[int]*geminiPieces)
		}
		g.pieces[candidate] = p
	}
	if part.Name != "" && part.Name != p.call.Name {
		return fmt.Errorf("%w: a tool call with two names", ErrMalformed)
	}
	for i := range part.PartialArgs {
		g.fragment(p.call, p.add(&part.PartialArgs[i]))
	}
	g.touch(p.call)
	g.version(p.call, part.Args)
	if !part.WillContinue {
		g.endPieces(candidate)
	}
	return nil
}

// endPieces is the end of a candidate's call in pieces, if there is one.
func (g *gemini) endPieces(candidate int) {
	if p := g.pieces[candidate]; p != nil {
		delete(g.pieces, candidate)
		g.fragment(p.call, p.end())
		g.end(p.call)
	}
}

// add is the next fragment of the object.
func (p *geminiPieces) add(piece *geminiPiece) []byte {
	var fragment []byte
	if path := strings.TrimPrefix(string(piece.Path), "$."); !p.begun || path != p.path {
		fragment = append(p.close(), quoted([]byte(path))...)
		fragment = append(fragment, ':')
		p.begun, p.path = true, path
	}
	switch {
	case piece.String != nil:
		value := quoted(*piece.String)
		if p.quoted {
			value = value[1:]
		}
		p.quoted = true
		return append(fragment, value[:len(value)-1]...)
	case len(piece.Number) > 0:
		return append(fragment, piece.Number...)
	case len(piece.Bool) > 0:
		return append(fragment, piece.Bool...)
	default:
		return append(fragment, "null"...)
	}
}

// close ends the value at the last path, and begins the next member.
func (p *geminiPieces) close() []byte {
	switch {
	case !p.begun:
		return []byte("{")
	case p.quoted:
		p.quoted = false
		return []byte(`",`)
	default:
		return []byte(",")
	}
}

// end is the last fragment.
func (p *geminiPieces) end() []byte {
	switch {
	case !p.begun:
		return []byte("{}")
	case p.quoted:
		return []byte(`"}`)
	default:
		return []byte("}")
	}
}

// quoted is text as a JSON string.
func quoted(text []byte) []byte {
	value, _ := jsontext.AppendQuote(nil, text) // its one error is about UTF-8, which it replaces
	return value
}
