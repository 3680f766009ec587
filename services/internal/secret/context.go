package secret

import (
	"bytes"
)

// Bounds of what is looked at around a hint, in bytes.
const (
	maxName  = 64  // of a name, before its hint
	maxBlank = 64  // of white space in a row
	maxWords = 512 // of a program's arguments, per hint
)

func isSpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }
func isQuote(c byte) bool { return c == '"' || c == '\'' }

// endsWith reports whether text ends in one of words, in any case.
func endsWith(text []byte, words ...string) bool {
	for _, w := range words {
		if len(text) >= len(w) && bytes.EqualFold(text[len(text)-len(w):], []byte(w)) {
			return true
		}
	}
	return false
}

// startsWith reports whether text starts with word, in any case.
func startsWith(text []byte, word string) bool {
	return len(text) >= len(word) && bytes.EqualFold(text[:len(word)], []byte(word))
}

// blanks returns the end of the spaces and tabs that begin at from.
func blanks(text []byte, from int) int {
	for i := 0; i < maxBlank && from < len(text) && (text[from] == ' ' || text[from] == '\t'); i++ {
		from++
	}
	return from
}

// trust is how much a value looks like a secret that has no form of its own.
func trust(value []byte) Confidence {
	if strong(value) {
		return Sure
	}
	return Likely
}

// userinfo finds what stands before the @ of a URL. A slash ends the authority,
// so that a path with an @ in it cannot be used to have the host redacted.
func userinfo(text []byte, _, end int) (span, Confidence, int) {
	at, colon := -1, -1
	i := end
	for ; i < len(text); i++ {
		c := text[i]
		if isSpace(c) || separates(c) || c == '/' || c == '?' || c == '#' || c == '"' || c == '<' || c == '>' || c == '\\' {
			break
		}
		if isQuote(c) && (i+1 == len(text) || !word.has(text[i+1])) {
			break
		}
		switch c {
		case '@':
			at = i
		case ':':
			if colon < 0 {
				colon = i
			}
		}
	}
	const shortest = 10 // of a token without a user; shorter ones are users
	switch {
	case at < 0, bytes.HasPrefix(text[end:], []byte(Mark)):
		return none, Doubtful, 0
	case colon >= 0 && colon < at:
		if secret := text[colon+1 : at]; !reference(secret) {
			return span{end, at}, trust(secret), 0
		}
	case at-end >= shortest && bytes.ContainsAny(text[end:at], "0123456789") && !startsWith(text[at+1:], "sha256:"):
		return span{end, at}, trust(text[end:at]), 0
	}
	return none, Doubtful, 0
}

// reference reports whether a value only says where the secret is, or that it
// has been taken out.
func reference(value []byte) bool {
	if len(value) == 0 || bytes.HasPrefix(value, []byte(Mark)) {
		return true
	}
	switch value[0] {
	case '$':
		if bytes.HasPrefix(value[1:], []byte{'('}) {
			return true
		}
		name := bytes.TrimPrefix(value[1:], []byte{'{'})
		for _, c := range bytes.TrimRight(name, ")]}>,.") {
			if c != '_' && !upperDigit.has(c) {
				return false
			}
		}
		return true
	case '<':
		for _, c := range bytes.TrimRight(value[1:], ">") {
			if !wordDash.has(c) && c != ' ' || digit.has(c) {
				return false
			}
		}
		return true
	case '*':
		return len(bytes.Trim(value, "*")) == 0
	case '{':
		return bytes.HasPrefix(value, []byte("{{"))
	}
	switch string(value) {
	case "null", "None", "nil", "true", "false", "True", "False", "undefined", "(null)":
		return true
	}
	return false
}

// keys are what a name says before the word key if its value is a secret one.
var keys = []string{"api", "access", "secret", "private", "auth", "account", "signing", "encryption", "master", "storage", "subscription", "deploy", "license", "sharedaccess", "client", "root", "admin", "service", "session", "app", "hmac", "jwt"}

// accounts are what a name says before pass, pwd or auth.
var accounts = []string{"db", "sql", "ftp", "ssh", "smtp", "mail", "user", "admin", "root", "redis", "proxy", "basic"}

// assigned finds the value of what is called a password, key or the like: in an
// assignment, a header, a member of JSON, an option, a query, an element of XML.
func assigned(text []byte, at, end int) (span, Confidence, int) {
	start := wordDash.runBefore(text, at, maxName)
	before := text[start:at]
	stem := bytes.TrimRight(before, "_-")
	atStart := len(before) == 0 || len(stem) < len(before)
	weak := false
	switch hint := text[at:end]; {
	case startsWith(hint, "key"):
		if !keyName(text, at) {
			return none, Doubtful, 0
		}
		end += nameSuffix(text[end:])
	case startsWith(hint, "passw"), startsWith(hint, "passp"):
	case startsWith(hint, "pass"), startsWith(hint, "pwd"):
		if !atStart && !endsWith(stem, accounts...) {
			return none, Doubtful, 0
		}
	case startsWith(hint, "auth"):
		// Many settings are called so; only what can be a secret counts.
		if !atStart || len(stem) > 0 && !endsWith(stem, accounts...) {
			return none, Doubtful, 0
		}
		weak = true
	}
	if end < len(text) && (digit.has(text[end]) || text[end] == '_' && end+1 < len(text) && digit.has(text[end+1])) {
		end = digit.runOf(text, end+1) // DB_PASSWORD_2
	}
	value, sep := separator(text, start, end)
	if value == 0 || sep == ':' && start > 0 && text[start-1] == '/' {
		return none, Doubtful, 0 // a path in front of a message
	}
	found, next := valueAt(text, value, sep)
	secret := text[found.from:found.to]
	switch {
	case len(secret) == 0, reference(secret),
		weak && (!strong(secret) || bytes.ContainsAny(secret, " ")),
		startsWith(text[at:end], "pwd") && secret[0] == '/', // the working directory
		(sep == ' ' || sep == element) && secret[0] == '-',  // the next option
		sep == '>' && (found.to == len(text) || text[found.to] != '<'):
		return none, Doubtful, next
	}
	return found, trust(secret), next
}

// keyName reports whether the word key at at ends the name of a secret key.
func keyName(text []byte, at int) bool {
	start := wordDash.runBefore(text, at, maxName)
	if start == at {
		return start > 0 && (text[start-1] == '?' || text[start-1] == '&')
	}
	return endsWith(bytes.TrimRight(text[start:at], "_-"), keys...)
}

// nameSuffix is the length of what can stand behind the word key of a name.
func nameSuffix(rest []byte) int {
	for _, suffix := range []string{"_id", "-id", "id", "_data", "-data", "_base64"} {
		if startsWith(rest, suffix) {
			return len(suffix)
		}
	}
	return 0
}

// between are what can stand between the name of a value and the value, where
// both are members of one object of JSON.
var between = []string{"\x00value\x01", "\x00command_data\x01"}

// separator finds out what stands between the name in text[start:end] and its
// value: = or :, the separator of a member of JSON, the end of a tag, a space or
// a separator behind an option. It returns where the value begins; 0 means that
// the name is not that of a value.
func separator(text []byte, start, end int) (value int, sep byte) {
	i := end
	for i < len(text) && (text[i] == '\\' || isQuote(text[i]) || text[i] == ']' || text[i] == '?') {
		i++
	}
	switch {
	case i == len(text):
		return 0, 0
	case text[i] == named:
		return i + 1, named
	case text[i] == element:
		for _, b := range between {
			if bytes.HasPrefix(text[i:], []byte(b)) {
				return i + len(b), named
			}
		}
		if option(text, start) {
			return i + 1, element
		}
		return 0, 0
	case text[i] == '>' && start > 0 && (text[start-1] == '<' || text[start-1] == ':'):
		return i + 1, '>'
	}
	i = blanks(text, i)
	switch {
	case i == len(text):
		return 0, 0
	case text[i] == '=' || text[i] == ':':
		sep, i = text[i], i+1
		switch {
		case sep == ':' && i < len(text) && text[i] == ':': // a path of C++ or Rust
			return 0, 0
		case i < len(text) && (text[i] == '=' || text[i] == '>'):
			i++
		}
		return blanks(text, i), sep
	case i > end && (option(text, start) || commanded(text[:start])):
		return i, ' '
	}
	return 0, 0
}

// option reports whether an option begins at start.
func option(text []byte, start int) bool {
	return text[start] == '-' && (start == 0 || isSpace(text[start-1]) || separates(text[start-1]) || isQuote(text[start-1]))
}

// commanded reports whether what follows is a name whose value comes behind a
// space: in a .netrc or the command line of aws configure set.
func commanded(before []byte) bool {
	before = before[max(0, len(before)-maxName-maxName):]
	if !bytes.Contains(before, []byte("login ")) && !bytes.Contains(before, []byte("configure set ")) {
		return false
	}
	fields := bytes.Fields(before)
	n := len(fields)
	return n >= 2 && (string(fields[n-2]) == "login" || string(fields[n-2]) == "configure" && string(fields[n-1]) == "set")
}

// valueAt returns the value that begins at from, without its quotes. A sensor
// may have cut it before the second quote.
func valueAt(text []byte, from int, sep byte) (value span, next int) {
	if separates(sep) || sep == '>' { // all of a string, or of an element
		to := from
		for to < len(text) && !separates(text[to]) && (sep != '>' || text[to] != '<' && text[to] != '\n') {
			to++
		}
		return span{from, to}, to
	}
	i := from
	for i < len(text) && i < from+4 && text[i] == '\\' {
		i++
	}
	if i+1 < len(text) && i == from && isQuote(text[i+1]) && bytes.IndexByte([]byte("bBrRuUfFL$@"), text[i]) >= 0 {
		i, from = i+1, from+1 // b"…", $'…'
	}
	if i < len(text) && isQuote(text[i]) {
		closing := text[from : i+1]
		to := closedBy(text, i+1, closing)
		// A shell goes on with what stands right behind.
		if more := to + len(closing); more < len(text) && isQuote(text[to]) && wordDash.has(text[more]) && len(closing) == 1 {
			if rest, next := plainValue(text, more); to > i+1 {
				return span{i + 1, max(to, rest)}, next
			}
		}
		return span{i + 1, to}, 0 // what is in quotes ends where others in it do not
	}
	to, next := plainValue(text, from)
	return span{from, to}, next
}

// closedBy returns where the closing quote stands, behind an even number of
// backslashes of its own if it is a plain one, or the end of the string.
func closedBy(text []byte, from int, closing []byte) int {
	for i := from; i < len(text); i++ {
		switch {
		case separates(text[i]):
			return i
		case bytes.HasPrefix(text[i:], closing):
			return i
		case text[i] == '\\' && len(closing) == 1 && closing[0] == '"':
			i++
		}
	}
	return len(text)
}

// plainValue returns the end of a value without quotes, and up to where hints
// need not be looked at again: each would have a value with the same end, but
// for a name that stands right before the end.
func plainValue(text []byte, from int) (to, next int) {
	i := from
	for ; i < len(text); i++ {
		c := text[i]
		if isSpace(c) || separates(c) || c == '&' || c == ';' {
			break
		}
		if c == '\\' && (i+1 == len(text) || text[i+1] == 'n' || text[i+1] == 'r' || text[i+1] == 't' || isQuote(text[i+1])) {
			break
		}
		if isQuote(c) {
			// Within a word of a shell there can be a part in quotes.
			const longest = 256
			if i == from || i+1 == len(text) || !wordDash.has(text[i+1]) {
				break
			}
			closing := bytes.IndexByte(text[i+1:min(len(text), i+longest)], c)
			if closing < 0 || bytes.ContainsAny(text[i+1:i+1+closing], " \n\x00") {
				break
			}
			i += 1 + closing
		}
	}
	return i, i - maxName
}

// pgpass finds the last of the five fields of a line of .pgpass.
func pgpass(text []byte, at, end int) (span, Confidence, int) {
	if at == 0 || !wordDashDot.has(text[at-1]) && text[at-1] != '*' {
		return none, Doubtful, 0
	}
	from := end
	for field := range 2 {
		colon := -1
		for i := from; i < len(text) && i < from+maxName && !isSpace(text[i]) && !separates(text[i]); i++ {
			if text[i] == ':' {
				colon = i
				break
			}
		}
		if colon <= from && field == 0 || colon < 0 {
			return none, Doubtful, 0
		}
		from = colon + 1
	}
	to, next := plainValue(text, from)
	if to == from {
		return none, Doubtful, 0
	}
	return span{from, to}, trust(text[from:to]), next
}
