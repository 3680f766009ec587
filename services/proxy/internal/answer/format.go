package answer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

// format reads one API's answers and passes what is in them to a gate.
type format interface {
	// event reads the data of one event of a stream.
	event(name, data []byte) (way, error)
	// body reads an answer that is not streamed.
	body(data []byte) error
}

// way is what becomes of an event, as far as the API has a say in it.
type way uint8

const (
	pass  way = iota // goes on in order
	ahead            // goes on at once, before what is held
	drop
)

// newFormat returns the format of o.API, or nil if its answers hold no calls.
func newFormat(o Options, g *gate) format {
	switch o.API {
	case llmapi.Messages:
		return &messages{gate: g, lastCall: -1}
	case llmapi.ChatCompletions, llmapi.Completions:
		return &chat{gate: g, usageMode: o.Usage}
	case llmapi.Responses, llmapi.Conversations:
		return &responses{gate: g, lastCall: -1, scan: newScan()}
	case llmapi.GenerateContent:
		return &gemini{gate: g, asked: o.Pieces}
	case llmapi.Interactions:
		return &interactions{gate: g, lastCall: -1}
	case llmapi.Results:
		return &results{gate: g}
	default:
		return nil
	}
}

// parse reads data into v. There are clients that match names without regard to
// case, so that is done here too. A name that occurs twice in an object with two
// values is an error; malformed UTF-8 is not, as every client reads it the same: as
// U+FFFD.
func parse[T any](data []byte, v *T) error {
	options := json.JoinOptions(jsontext.AllowInvalidUTF8(true), json.MatchCaseInsensitiveNames(true))
	err := json.Unmarshal(data, v, options)
	if errors.Is(err, jsontext.ErrDuplicateName) {
		if once, ok := withoutRepeats(data); ok {
			*v = *new(T)
			err = json.Unmarshal(once, v, options)
		}
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return nil
}

// withoutRepeats returns data without the members of objects that repeat another: of
// the same name, but for its case, and with the same value. There are servers that
// write a text twice, and every client reads it the same.
func withoutRepeats(data []byte) ([]byte, bool) {
	d := jsontext.NewDecoder(bytes.NewReader(data), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	once, err := appendOnce(make([]byte, 0, len(data)), d)
	if err != nil {
		return nil, false
	}
	_, err = d.ReadToken()
	return once, err == io.EOF
}

// appendOnce appends the next value of d without repeats.
func appendOnce(once []byte, d *jsontext.Decoder) ([]byte, error) {
	switch d.PeekKind() {
	case '{':
	case '[':
		_, err := d.ReadToken()
		once = append(once, '[')
		for n := 0; err == nil && d.PeekKind() != ']'; n++ {
			if n > 0 {
				once = append(once, ',')
			}
			once, err = appendOnce(once, d)
		}
		if err == nil {
			_, err = d.ReadToken()
		}
		return append(once, ']'), err
	default:
		value, err := d.ReadValue()
		return append(once, value...), err
	}
	_, err := d.ReadToken()
	once = append(once, '{')
	type member struct{ from, to int } // of its value, in once
	members := make(map[string]member)
	for err == nil && d.PeekKind() != '}' {
		var name jsontext.Value
		if name, err = d.ReadValue(); err != nil {
			break
		}
		before := len(once)
		if len(members) > 0 {
			once = append(once, ',')
		}
		once = append(append(once, name...), ':')
		m := member{from: len(once)}
		folded, _ := jsontext.AppendUnquote(nil, once[m.from-1-len(name):m.from-1]) // as it has been read
		once, err = appendOnce(once, d)
		m.to = len(once)
		if o, ok := members[fold(folded)]; ok && bytes.Equal(once[o.from:o.to], once[m.from:m.to]) {
			once = once[:before]
			continue
		}
		members[fold(folded)] = m
	}
	if err == nil {
		_, err = d.ReadToken()
	}
	return append(once, '}'), err
}

// fold is a name as those are that parse takes for the same.
func fold(name []byte) string {
	return strings.ToLower(strings.ReplaceAll(strings.ReplaceAll(string(name), "_", ""), "-", ""))
}

// parseWeight is how many bytes it takes to parse data: its texts, as they are
// decoded and without escapes, and the structures that they stand in, which scan
// bounds.
func parseWeight(data []byte) int {
	return 3*len(data) + min(maxStructure, 100*len(data))
}

const maxStructure = 24 << 20 // bytes of maxElements structures and maxNames names

// try reads data into v as far as it goes, where calls do not depend on it.
func try(data []byte, v any) {
	if len(data) > 0 {
		_ = json.Unmarshal(data, v, jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true))
	}
}

// text is a JSON string, decoded, or else the JSON of the value: servers differ
// in where they write an object instead of a string that holds one. Null is
// empty.
type text []byte

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (t *text) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	value, err := dec.ReadValue()
	if err != nil {
		return err
	}
	switch value.Kind() {
	case '"':
		// Its one error is about UTF-8, which it replaces.
		*t, _ = jsontext.AppendUnquote(make([]byte, 0, len(value)), value)
	case 'n':
		*t = nil
	default:
		*t = text(value.Clone())
	}
	return nil
}

// content is a text, or the JSON of what stands in its place.
type content struct {
	text
	parts bool // it is an array or an object
}

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (c *content) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	kind := dec.PeekKind()
	c.parts = kind == '[' || kind == '{'
	return c.text.UnmarshalJSONFrom(dec)
}

// eventType is the type of an event of an API that names it twice. Clients go by
// the one or the other.
func eventType(name []byte, kind string) (string, error) {
	switch {
	case len(name) == 0 || string(name) == "message" || string(name) == kind:
		return kind, nil
	case kind == "":
		return string(name), nil
	default:
		return "", fmt.Errorf("%w: an event named %.64q of the type %.64q", ErrMalformed, name, kind)
	}
}

// fault is an error as the APIs write it.
type fault struct {
	Type   text `json:"type"`
	Code   text `json:"code"`
	Status text `json:"status"` // Gemini
}

// fail notes an error inside the answer.
func (g *gate) fail(data jsontext.Value) {
	if len(data) == 0 || data.Kind() == 'n' {
		return
	}
	var f fault
	try(data, &f)
	for _, kind := range []text{f.Type, f.Status, f.Code, text("unknown")} {
		if len(kind) > 0 {
			g.result.ErrorType = clip(string(kind))
			return
		}
	}
}
