package answer

import (
	"bytes"
	"io"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// callMembers are the members in which clients of the APIs look for calls, in lower
// case.
var callMembers = map[string]bool{
	"tool_calls": true, "tool_call": true, "toolcall": true, "function_call": true, "functioncall": true, "executablecode": true,
}

// holdsCall reports whether a lenient reader could find a call in a JSON text: one
// that takes names in any case and more than once. In what is not JSON nobody does.
func holdsCall(data []byte) bool {
	d := jsontext.NewDecoder(bytes.NewReader(data), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	found := false
	name := ""
	for {
		token, err := d.ReadToken()
		if err != nil {
			return found && err == io.EOF
		}
		kind := token.Kind()
		if in, n := d.StackIndex(d.StackDepth()); in == '{' && n%2 == 1 && kind == '"' {
			name = strings.ToLower(token.String())
			continue
		}
		switch {
		case callMembers[name]:
			found = found || kind != 'n' && d.PeekKind() != ']' && d.PeekKind() != '}'
		case name == "type" && kind == '"':
			found = found || isCallType(token.String())
		}
		name = ""
	}
}

// texts are what some client might take for the data of an event.
func (ev event) texts() [][]byte {
	texts := [][]byte{ev.data}
	if ev.ambiguous {
		for _, line := range bytes.FieldsFunc(ev.raw, func(c rune) bool { return strings.ContainsRune("\r\n"+separators, c) }) {
			_, value, _ := bytes.Cut(line, []byte(":"))
			texts = append(texts, value)
		}
	}
	return texts
}

// isCallType reports whether a type is one of the APIs' for a call.
func isCallType(kind string) bool {
	kind = strings.ToLower(strings.TrimSpace(kind))
	return strings.HasSuffix(kind, "tool_use") || strings.HasSuffix(kind, "_call") || strings.HasSuffix(kind, "approval_request")
}

// maxFault is how much of an error's body is searched for its type.
const maxFault = 64 << 10

// faultMembers are those that name the type of an error, the best first. Mistral and
// others have them in the body itself.
var faultMembers = []string{"/error/type", "/error/status", "/error/code", "/type", "/code", "/status"}

// failed notes the type of an error whose body no format has understood: a list of
// errors, a body that was cut, names that occur twice.
func (g *gate) failed(data []byte) {
	if g.result.ErrorType != "" {
		return
	}
	d := jsontext.NewDecoder(bytes.NewReader(data[:min(len(data), maxFault)]), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	best := len(faultMembers)
	for best > 0 {
		token, err := d.ReadToken()
		if err != nil {
			return
		}
		at := strings.ToLower(string(d.StackPointer()))
		if first, rest, _ := strings.Cut(strings.TrimPrefix(at, "/"), "/"); strings.Trim(first, "0123456789") == "" {
			at = "/" + rest // of a list of errors
		}
		if strings.HasPrefix(at, "/error") && g.result.ErrorType == "" {
			g.result.ErrorType = "unknown"
		}
		in, n := d.StackIndex(d.StackDepth())
		isValue := (token.Kind() == '"' || token.Kind() == '0') && in == '{' && n%2 == 0
		if i := slices.Index(faultMembers, at); isValue && i >= 0 && i < best && token.String() != "" && token.String() != "error" {
			g.result.ErrorType, best = clip(token.String()), i
		}
	}
}
