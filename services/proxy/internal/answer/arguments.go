package answer

import (
	"github.com/go-json-experiment/json/jsontext"
)

// reading is what a client that reads a call's arguments along can make of what it
// has of them.
type reading uint8

const (
	readNothing reading = iota // blank, so far
	readOpen                   // JSON with a bracket or quotation mark that is not closed: whole for nobody
	readWord                   // perhaps a number or a literal, which is whole at any point
	readFree                   // anything else, such as a shell command: whole when no more comes
	readWhole                  // its brackets have closed, whatever follows
)

// arguments are a call's arguments as they come in fragments. They are read along, to
// know at each point whether a client could take them for whole, in a time that grows
// with their length only.
type arguments struct {
	text    []byte
	reading reading
	depth   int
	quoted  bool
	escaped bool // the byte before is a backslash in a string
	blank   bool // the byte before is white space
	fresh   bool // something other than white space has come since they were judged
}

// maxScalar is how long a number or a literal is at most; what is longer is none.
const maxScalar = 64

// add takes the next fragment, and reports whether it says anything.
func (a *arguments) add(fragment []byte) bool {
	said := false
	for _, c := range fragment {
		if isBlank(c) && !a.quoted {
			a.blank = true
			continue
		}
		said = true
		a.read(c)
		a.blank = false
	}
	a.text = append(a.text, fragment...)
	if a.reading == readWord && len(a.text) > maxScalar {
		a.reading = readFree
	}
	a.fresh = a.fresh || said
	return said
}

func (a *arguments) read(c byte) {
	switch {
	case a.reading == readWhole, a.reading == readFree:
	case a.escaped:
		a.escaped = false
	case a.quoted:
		a.escaped, a.quoted = c == '\\', c != '"'
		a.close()
	case a.reading == readNothing && isWord(c):
		a.reading = readWord
	case a.reading == readWord:
		if a.blank || !isWord(c) {
			a.reading = readFree
		}
	case c == '"':
		a.quoted, a.reading = true, readOpen
	case c == '{' || c == '[':
		a.depth++
		a.reading = readOpen
	case a.reading == readNothing:
		a.reading = readFree
	case c == '}' || c == ']':
		a.depth--
		a.close()
	case c != ',' && c != ':' && !isWord(c):
		a.reading = readFree // there are clients that read other quotation marks and comments
	}
}

func (a *arguments) close() {
	if a.depth <= 0 && !a.quoted {
		a.reading = readWhole
	}
}

// isJSON reports whether nothing can be added to the arguments: they are a JSON text,
// by their brackets, or there are none.
func (a *arguments) isJSON() bool {
	switch a.reading {
	case readNothing, readWhole:
		return true
	case readWord:
		return jsontext.Value(a.text).IsValid()
	default:
		return false
	}
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// isWord reports whether c occurs in JSON's numbers and literals.
func isWord(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || c == '-' || c == '+' || c == '.' || c == 'E'
}

// canonical is JSON without the space between its parts and with its strings written
// in one way, so that versions of arguments that mean the same are equal. The order of
// members stays, and so do numbers. What is not JSON is returned as it is.
func canonical(arguments []byte) []byte {
	plain, err := jsontext.AppendFormat(nil, arguments, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return arguments
	}
	return plain
}
