package answer

import (
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

// format reads one API's answers and tells a gate what is in them.
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
	case llmapi.ChatCompletions:
		return &chat{gate: g, dropUsage: o.DropUsage}
	case llmapi.Responses:
		return &responses{gate: g, lastCall: -1}
	case llmapi.GenerateContent:
		return &gemini{gate: g}
	default:
		return nil
	}
}

// parse reads data into v. There are clients that match names without regard to
// case, so that is done here too. A name that occurs twice in an object is an
// error; malformed UTF-8 is not, as every client reads it the same: as U+FFFD.
func parse(data []byte, v any) error {
	err := json.Unmarshal(data, v, jsontext.AllowInvalidUTF8(true), json.MatchCaseInsensitiveNames(true))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return nil
}

// try reads data into v as far as it goes, where calls do not depend on it.
func try(data []byte, v any) {
	if len(data) > 0 {
		_ = json.Unmarshal(data, v, jsontext.AllowInvalidUTF8(true))
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

// eventType is the type of an event of an API that tells it twice. Clients go by
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

// fault is an error as the APIs tell it.
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
