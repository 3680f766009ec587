package expr

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// Decode reads one JSON object for expressions to work on. Numbers stay text.
// With the option to allow duplicate names, the last value wins and objects are
// merged. The document does not alias data.
func Decode(data []byte, opts ...jsontext.Options) (map[string]any, error) {
	dec := jsontext.NewDecoder(bytes.NewReader(data), opts...)
	if dec.PeekKind() != '{' {
		return nil, errors.New("is not a JSON object")
	}
	v, err := decodeValue(dec, nil)
	if err != nil {
		return nil, err
	}
	if _, err := dec.ReadToken(); err != io.EOF {
		return nil, errors.New("has data behind the JSON object")
	}
	return v.(map[string]any), nil
}

// decodeValue reads the next value; before is what its name stood for already.
func decodeValue(dec *jsontext.Decoder, before any) (any, error) {
	token, err := dec.ReadToken()
	if err != nil {
		return nil, err
	}
	switch token.Kind() {
	case '{':
		object, merging := before.(map[string]any)
		if !merging {
			object = make(map[string]any)
		}
		for dec.PeekKind() != '}' {
			name, err := dec.ReadToken()
			if err != nil {
				return nil, err
			}
			key := name.String()
			if object[key], err = decodeValue(dec, object[key]); err != nil {
				return nil, err
			}
		}
		_, err := dec.ReadToken()
		return object, err
	case '[':
		list := []any{}
		for dec.PeekKind() != ']' {
			element, err := decodeValue(dec, nil)
			if err != nil {
				return nil, err
			}
			list = append(list, element)
		}
		_, err := dec.ReadToken()
		return list, err
	case '0':
		return json.Number(token.String()), nil
	case '"':
		return token.String(), nil
	case 't', 'f':
		return token.Bool(), nil
	}
	return nil, nil
}
