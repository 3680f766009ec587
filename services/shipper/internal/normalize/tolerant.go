package normalize

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"

	"github.com/openclaw-security/bus/proto"
)

// maxDepth bounds the nesting of a record, far above what sensors write. Raw is
// nested once more in the event, and readers of the bus have limits of their
// own: Python's json gives up near 1,000 levels, encoding/json at 10,000.
const maxDepth = 512

// maxMalformed bounds the bytes kept of a line with malformed UTF-8.
const maxMalformed = 64 << 10

// decodeTolerantly decodes a record that strict decoding has refused, although
// it is a JSON object, and tags e with each reason for that.
func (n *Normalizer) decodeTolerantly(e *proto.Event, record []byte) {
	err := n.Sensor.Decode(
		record, e,
		jsontext.AllowDuplicateNames(true),
		jsontext.AllowInvalidUTF8(true),
		// Of the semantics of encoding/json this takes one: a value that does not
		// fit its field is reported at the end, and all others are decoded.
		jsonv1.ReportErrorsWithLegacySemantics(true),
	)
	if err != nil {
		addTag(e, TagMappingMismatch)
	}
	value := jsontext.Value(record)
	if !value.IsValid(jsontext.AllowInvalidUTF8(true)) {
		addTag(e, TagDuplicateKeys)
	}
	if !value.IsValid(jsontext.AllowDuplicateNames(true)) {
		addTag(e, TagMalformedUTF8)
	}
}

// malformed returns where the first byte that is not UTF-8 stands, or -1.
func malformed(text []byte) int {
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}

// mayBeTooDeep is a cheap test that every record nested too deeply passes.
func mayBeTooDeep(record []byte) bool {
	return bytes.Count(record, []byte{'{'})+bytes.Count(record, []byte{'['}) > maxDepth
}

// flaw says in words why text is not one JSON object that can be carried, and at
// which byte; "" means that it is. Duplicate names and malformed UTF-8 are none.
func flaw(text []byte) string {
	start := len(text) - len(bytes.TrimLeft(text, jsonSpace))
	if start == len(text) {
		return "nothing but white space"
	}
	dec := jsontext.NewDecoder(bytes.NewReader(text), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	for {
		if _, err := dec.ReadToken(); err != nil {
			return syntaxFlaw(text, err)
		}
		if dec.StackDepth() == 0 {
			break
		}
		if dec.StackDepth() > maxDepth {
			return fmt.Sprintf("nested deeper than %d levels at byte %d", maxDepth, dec.InputOffset()-1)
		}
	}
	rest := text[dec.InputOffset():]
	if trailing := bytes.TrimLeft(rest, jsonSpace); len(trailing) > 0 {
		if at := bytes.IndexByte(text, 0); at >= 0 {
			return nulAt(at)
		}
		return fmt.Sprintf("data after a JSON value at byte %d", len(text)-len(trailing))
	}
	if text[start] != '{' {
		return "JSON, but not an object"
	}
	return ""
}

func syntaxFlaw(text []byte, err error) string {
	if at := bytes.IndexByte(text, 0); at >= 0 {
		return nulAt(at)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Sprintf("cut off at byte %d", len(text))
	}
	if syntax, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return fmt.Sprintf("malformed JSON at byte %d: %v", syntax.ByteOffset, syntax.Err)
	}
	return fmt.Sprintf("malformed JSON: %v", err)
}

func nulAt(at int) string { return fmt.Sprintf("NUL at byte %d", at) }
