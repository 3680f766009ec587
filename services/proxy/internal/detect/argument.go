package detect

import (
	"bytes"
	"errors"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

const (
	// member is put before each string of arguments that begins something of
	// its own, so that a rule can distinguish "a whole value" from "a line of a file".
	member = "\n\x1e"
	// maxNested bounds how deep JSON within strings of JSON is followed.
	maxNested = 3
)

// argumentText appends to dst the strings that a tool's arguments hold, decoded:
// those of an array on one line, because programs take their command lines so,
// and any other on a line of its own behind a member mark. Arguments that are
// no JSON, or not to their end, are taken as they are as well.
// It reports whether they are JSON.
func argumentText(dst, arguments []byte) ([]byte, bool) {
	dst, err := appendStrings(dst, arguments, maxNested)
	if err != nil {
		dst = append(append(dst, member...), arguments...)
	}
	return dst, err == nil
}

func appendStrings(dst, document []byte, nested int) ([]byte, error) {
	d := jsontext.NewDecoder(bytes.NewReader(document), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	for {
		token, err := d.ReadToken()
		if errors.Is(err, io.EOF) {
			return dst, nil
		}
		if err != nil {
			return dst, err
		}
		if token.Kind() != '"' {
			continue
		}
		s := token.String()
		if nested > 0 && len(s) > 1 && (s[0] == '{' || s[0] == '[') {
			if inner, err := appendStrings(dst, []byte(s), nested-1); err == nil {
				dst = inner
				continue
			}
		}
		switch kind, n := d.StackIndex(d.StackDepth()); {
		case kind == '{' && n%2 == 1 && len(s) < MinValueBytes:
			continue // a name too short to hide a value in
		case kind == '[':
			dst = append(dst, ' ')
		default:
			dst = append(dst, member...)
		}
		dst = append(dst, s...)
	}
}
