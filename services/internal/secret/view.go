package secret

import (
	"bytes"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/openclaw-security/bus/services/internal/escape"
)

// view is a text in another form, made of runs of the text and what its escapes
// stand for.
type view struct {
	text []byte
	runs []viewRun // none if the view is the text itself
}

// viewRun is where the bytes of a view from at on, up to the next run, stand in
// the text.
type viewRun struct{ at, offset int }

// offset returns where the byte at at stands in the text.
func (v *view) offset(at int) int {
	if len(v.runs) == 0 {
		return at
	}
	i := sort.Search(len(v.runs), func(i int) bool { return v.runs[i].at > at }) - 1
	return v.runs[i].offset + at - v.runs[i].at
}

func (v *view) reset() { v.text, v.runs = v.text[:0], v.runs[:0] }

// run notes where what is added next stands in the text.
func (v *view) run(offset int) {
	if last := len(v.runs) - 1; last < 0 || v.runs[last].offset+len(v.text)-v.runs[last].at != offset {
		v.runs = append(v.runs, viewRun{len(v.text), offset})
	}
}

// copy adds a part of another view.
func (v *view) copy(from *view, start, end int) {
	for start < end {
		v.run(from.offset(start))
		next := end
		if len(from.runs) > 0 {
			if i := sort.Search(len(from.runs), func(i int) bool { return from.runs[i].at > start }); i < len(from.runs) {
				next = min(end, from.runs[i].at)
			}
		}
		v.text = append(v.text, from.text[start:next]...)
		start = next
	}
}

// addRune adds what stands for an escape at offset.
func (v *view) addRune(c rune, offset int) {
	if c < ' ' && c != '\n' && c != '\r' && c != '\t' {
		c = ' ' // not a separator
	}
	v.run(offset)
	v.text = utf8.AppendRune(v.text, c)
}

// unescape undoes escapes of single characters, whichever language they belong
// to: %73, \x73, \u0073, &#115; and &#x73;, \" and \/, \n, \r and \t. It uses
// buffer for the result and reports whether there was anything to undo.
func (v *view) unescape(buffer view) (view, bool) {
	buffer.reset()
	copied := 0
	for at := range escape.Positions(v.text, escape.Marks) {
		if at < copied {
			continue
		}
		if c, n := unescapeOne(v.text[at:]); n > 0 {
			buffer.copy(v, copied, at)
			buffer.addRune(c, v.offset(at))
			copied = at + n
		}
	}
	return v.rest(buffer, copied)
}

// rest adds what was not copied to buffer, if anything was.
func (v *view) rest(buffer view, copied int) (view, bool) {
	if copied == 0 {
		return buffer, false
	}
	buffer.copy(v, copied, len(v.text))
	buffer.run(v.offset(len(v.text)))
	return buffer, true
}

// unquote leaves out what parts a word only for a shell: quotes and backslashes
// within it. It uses buffer for the result and reports whether there are any.
func (v *view) unquote(buffer view) (view, bool) {
	buffer.reset()
	copied, end := 0, 1
	for from := range escape.Positions(v.text, quotes) {
		if from < end { // of those that were passed over
			continue
		}
		end = from
		for end < len(v.text) && strings.IndexByte(quotes, v.text[end]) >= 0 {
			end++
		}
		if end < len(v.text) && wordDash.has(v.text[from-1]) && wordDash.has(v.text[end]) {
			buffer.copy(v, copied, from)
			copied = end
		}
	}
	return v.rest(buffer, copied)
}

// quotes are what a shell leaves out of a word.
const quotes = `"'\`

// unescapeOne is [escape.Decode], and undoes the escapes of control characters and of
// the backslash, too.
func unescapeOne(text []byte) (c rune, n int) {
	if text[0] == '\\' && len(text) > 1 {
		switch text[1] {
		case 'n':
			return '\n', 2
		case 'r':
			return '\r', 2
		case 't':
			return '\t', 2
		case 'b', 'f':
			return ' ', 2
		case '\\':
			return '\\', 2
		}
	}
	return escape.Decode(text)
}

// Separators in the flat form of a JSON text. No secret holds one.
const (
	element = '\x00' // behind a string
	named   = '\x01' // behind a name, before its value
)

func separates(c byte) bool { return c <= named }

// suspicious reports whether a JSON text holds a hint, or an escape that could
// hide one. Most of what sensors write does not, and is then left alone.
func suspicious(record []byte) bool {
	if rareHints().Any(record, func(hint, end int) bool { return Hints()[hint].couldTell(record, end) }) {
		return true
	}
	if holdsDiscord(record) {
		return true
	}
	if bytes.Contains(record, []byte("&#")) {
		return true
	}
	for _, mark := range []byte{'\\', '%', '\''} {
		for i := 0; ; {
			n := bytes.IndexByte(record[i:], mark)
			if n < 0 {
				break
			}
			i += n
			if hides(record, i) {
				return true
			}
			if i++; mark == '\\' && i < len(record) {
				i++ // it escapes the next one
			}
		}
	}
	return false
}

// couldTell reports whether the hint that ends at end of a JSON text may tell of a
// secret. It does not within a word, or as the name of a number or an object, as
// in statistics.
func (h *Hint) couldTell(record []byte, end int) bool {
	at := end - len(h.Text)
	switch {
	case h.Exact && string(record[at:end]) != h.Text:
		return false
	case h.starts && !begins(record, at) && !escapeBefore(record, at):
		return false
	case h.starts:
		// What is escaped in the secret is suspicious by itself.
		const longest = 256 // to look at, so that the work stays linear
		text := record[at:min(len(record), at+longest)]
		if token.runOf(text, 0) == longest {
			return true
		}
		secret, _, _ := table().shapes[h.shape].find(text, 0, len(h.Text))
		return secret != none
	case table().shapes[h.shape].Kind != ByContext:
		return true
	case h.Text == "://": // what ends a user does so escaped, too
		secret, _, _ := userinfo(record, at, end)
		return secret != none
	case h.Text == "-u" && at > 0 && wordDash.has(record[at-1]) && !escapeBefore(record, at):
		return false // not an option
	case h.Text == "key" && !keyName(record, at) && !escapeBefore(record, at):
		return false
	}
	rest := record[end:]
	if table().shapes[h.shape].Name == base64Shape { // most captured traffic holds none
		value, isText := bytes.CutPrefix(rest, []byte(`":"`))
		closing := bytes.IndexByte(value, '"')
		return isText && closing >= 0 && holds(value[:closing]) || bytes.HasPrefix(rest, []byte(`": `))
	}
	if h.name {
		if len(rest) > 1 && rest[0] == '_' && digit.has(rest[1]) || nameSuffix(rest) > 0 {
			return true
		}
	} else {
		rest = rest[wordDashDot.runOf(rest[:min(len(rest), maxName)], 0):]
	}
	switch {
	case len(rest) < 3, h.name && wordDash.has(rest[0]) && !digit.has(rest[0]):
		return false
	case rest[0] == '"' && rest[1] == ':':
		return rest[2] == '"' || rest[2] == '[' || rest[2] == ' '
	case h.name && rest[0] == '"' && rest[1] == ',' && rest[2] == '"': // an option, or a name beside its value
		return record[wordDash.runBefore(record, at, maxName)] == '-' || bytes.HasPrefix(rest, []byte(`","value":`)) || bytes.HasPrefix(rest, []byte(`","command_data":`))
	}
	return true
}

// escapeBefore reports whether what stands before at may be an escape: \n, %3D,
// \u003d.
func escapeBefore(record []byte, at int) bool {
	return bytes.ContainsAny(record[max(0, at-len(`\u003d`)):at], `\%`)
}

// hides reports whether at a character of a hint may be written as an escape, or
// parted from the next one by quotes.
func hides(record []byte, at int) bool {
	end := at
	for end < len(record) && (record[end] == '\\' || isQuote(record[end])) {
		end++
	}
	if end-at > 1 || record[at] == '\'' && !contracts(record, at) {
		if at > 0 && end < len(record) && wordDash.has(record[at-1]) && wordDash.has(record[end]) {
			return true
		}
	}
	c, n := unescapeOne(record[max(at, end-1):])
	// No hint holds < or >, which Go's encoder escapes in each command that has
	// them. A value that does is suspicious by its hint.
	return n > 2 && c != '<' && c != '>' && c < utf8.RuneSelf || record[at] == '\\' && n == 2 && c == '/'
}

// contracts reports whether the apostrophe at at stands in an English word, as in it's
// and don't: in letters between white space and the end of a sentence or a clause. No
// hint has that in it, and no secret of so few letters and nothing else is known.
func contracts(record []byte, at int) bool {
	const longest = 20
	start := letters.runBefore(record, at, longest)
	if start > 0 && strings.IndexByte(` "(\\`, record[start-1]) < 0 {
		return false
	}
	rest := record[at+1:]
	end := letters.runOf(rest[:min(len(rest), longest)], 0)
	switch string(rest[:end]) {
	case "s", "t", "d", "m", "re", "ve", "ll":
	default:
		return false
	}
	rest = rest[end:]
	if len(rest) > 0 && strings.IndexByte(".,;:!?)", rest[0]) >= 0 {
		rest = rest[1:]
	}
	return len(rest) == 0 || rest[0] == ' ' || rest[0] == '"'
}

// flatten makes one text of the strings in a JSON text, names and values,
// decoded and with a separator behind each. It uses buffer for the result. What
// is not valid JSON makes a text all the same.
func flatten(buffer view, record []byte) view {
	v := buffer
	v.reset()
	for i := 0; i < len(record); i++ {
		last := len(v.text) - 1
		switch record[i] {
		case '"':
			i = v.addString(record, i+1)
			v.separate(element, i)
		case ':':
			if last >= 0 && v.text[last] == element {
				v.text[last] = named
			}
		case ',', '{', '}': // a value that is not a string ends, or begins
			if last >= 0 && v.text[last] == named {
				v.separate(element, i)
			}
		}
	}
	v.run(len(record))
	return v
}

func (v *view) separate(c byte, offset int) {
	v.run(offset)
	v.text = append(v.text, c)
}

// addString adds the string that begins at from and returns where its closing
// quote stands.
func (v *view) addString(record []byte, from int) int {
	quote := from - 1
	for i := from; i < len(record); {
		if quote < i {
			if quote = bytes.IndexByte(record[i:], '"'); quote < 0 {
				quote = len(record)
			} else {
				quote += i
			}
		}
		n := bytes.IndexByte(record[i:quote], '\\')
		if n < 0 {
			n = quote - i
		}
		v.run(i)
		v.text = append(v.text, record[i:i+n]...)
		if i += n; i == quote {
			return i
		}
		if i+1 == len(record) {
			break
		}
		c, n := unescapeOne(record[i:])
		if n == 0 {
			c, n = rune(record[i+1]), 2
		}
		v.addRune(c, i)
		i += n
	}
	return len(record)
}
