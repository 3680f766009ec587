package llmtest

import (
	"encoding/json"
	"iter"
	"strings"
)

// Requests can be large and arrive by the thousand, and only a few fields of
// them matter. So a body is not decoded: it is checked and cut up by a scanner
// that knows where each value ends, and encoding/json gets the small pieces.

// maxDepth is how deeply values may be nested.
const maxDepth = 512

// valid reports whether data is one JSON value and nothing else.
func valid(data []byte) bool {
	end := skipValue(data, skipSpace(data, 0), 0)
	return end >= 0 && skipSpace(data, end) == len(data)
}

// members yields the members of the object in data, which must be valid; none if
// it is not an object. Names are as they stand there, without the quotes.
func members(data []byte) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		i := skipSpace(data, 0)
		if i == len(data) || data[i] != '{' {
			return
		}
		for i = skipSpace(data, i+1); data[i] == '"'; i = skipSpace(data, i+1) {
			nameEnd := skipString(data, i)
			start := skipSpace(data, skipSpace(data, nameEnd)+1)
			end := skipValue(data, start, 0)
			if !yield(string(data[i+1:nameEnd-1]), data[start:end]) {
				return
			}
			if i = skipSpace(data, end); data[i] == '}' {
				return
			}
		}
	}
}

// last returns the last element of the array in data, which must be valid, and
// how many there are.
func last(data []byte) (element []byte, n int) {
	i := skipSpace(data, 0)
	if i == len(data) || data[i] != '[' {
		return nil, 0
	}
	for i = skipSpace(data, i+1); data[i] != ']'; n++ {
		end := skipValue(data, i, 0)
		element = data[i:end]
		if i = skipSpace(data, end); data[i] == ',' {
			i = skipSpace(data, i+1)
		}
	}
	return element, n
}

func skipSpace(data []byte, i int) int {
	for i < len(data) && (data[i] == ' ' || data[i] == '\n' || data[i] == '\r' || data[i] == '\t') {
		i++
	}
	return i
}

// skipValue returns the index behind the value that begins at i, or -1 if there
// is none.
func skipValue(data []byte, i, depth int) int {
	if i >= len(data) || depth > maxDepth {
		return -1
	}
	switch data[i] {
	case '"':
		return skipString(data, i)
	case '{':
		return skipList(data, i, '}', depth)
	case '[':
		return skipList(data, i, ']', depth)
	}
	end := i
	for end < len(data) && strings.IndexByte(" \t\r\n,:]}[{\"", data[end]) < 0 {
		end++
	}
	// A number, true, false, null, or no value.
	if !json.Valid(data[i:end]) {
		return -1
	}
	return end
}

// skipList returns the index behind the object or array that begins at i.
func skipList(data []byte, i int, closing byte, depth int) int {
	i = skipSpace(data, i+1)
	if i < len(data) && data[i] == closing {
		return i + 1
	}
	for {
		if closing == '}' {
			if i = skipString(data, i); i < 0 {
				return -1
			}
			if i = skipSpace(data, i); i >= len(data) || data[i] != ':' {
				return -1
			}
			i = skipSpace(data, i+1)
		}
		if i = skipValue(data, i, depth+1); i < 0 {
			return -1
		}
		i = skipSpace(data, i)
		switch {
		case i < len(data) && data[i] == closing:
			return i + 1
		case i < len(data) && data[i] == ',':
			i = skipSpace(data, i+1)
		default:
			return -1
		}
	}
}

// skipString returns the index behind the string that begins at i.
func skipString(data []byte, i int) int {
	if i >= len(data) || data[i] != '"' {
		return -1
	}
	for i++; i < len(data); i++ {
		c := data[i]
		if c > '\\' || c > '"' && c < '\\' { // most bytes, at one or two comparisons
			continue
		}
		switch {
		case c == '"':
			return i + 1
		case c < ' ':
			return -1
		case c == '\\':
			if i = skipEscape(data, i+1); i < 0 {
				return -1
			}
		}
	}
	return -1
}

// skipEscape returns the index of the last byte of the escape whose second byte
// is at i.
func skipEscape(data []byte, i int) int {
	if i >= len(data) {
		return -1
	}
	switch data[i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i
	case 'u':
	default:
		return -1
	}
	if i+4 >= len(data) {
		return -1
	}
	for _, c := range data[i+1 : i+5] {
		if !('0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F') {
			return -1
		}
	}
	return i + 4
}
