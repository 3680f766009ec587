package secret

import (
	"bytes"
	"encoding/base64"
)

// authorization finds the value of the header.
func authorization(text []byte, at, end int) (span, Confidence, int) {
	start := wordDash.runBefore(text, at, maxName)
	from, sep := separator(text, start, end)
	if from == 0 || sep == '>' {
		return none, Doubtful, 0
	}
	for from < len(text) && (text[from] == '\\' || isQuote(text[from])) {
		from++
	}
	scheme := wordDash.runOf(text, from)
	credentials := blanks(text, scheme)
	if credentials > scheme {
		for _, s := range longSchemes {
			if bytes.EqualFold(text[from:scheme], []byte(s)) {
				to := from
				for to < len(text) && text[to] != '\n' && text[to] != '\r' && text[to] != '\'' && !separates(text[to]) {
					to++
				}
				return span{credentials, to}, Likely, to
			}
		}
		for _, s := range schemes {
			if bytes.EqualFold(text[from:scheme], []byte(s)) {
				from = credentials
				break
			}
		}
	}
	to := credentialsEnd(text, from)
	next := to - maxName // as for a plain value
	if secret := text[from:to]; len(secret) == 0 || reference(secret) {
		return none, Doubtful, next
	}
	return span{from, to}, trust(text[from:to]), next
}

func credentialsEnd(text []byte, from int) int {
	for from < len(text) && !isSpace(text[from]) && !separates(text[from]) && bytes.IndexByte([]byte(`"'\,;`), text[from]) < 0 {
		from++
	}
	return from
}

// bearer finds credentials of the schemes Bearer and Basic where no header is
// named.
func bearer(text []byte, at, end int) (span, Confidence, int) {
	from := blanks(text, end)
	if end < len(text) && (text[end] == element || text[end] == '+') {
		from = end + 1
	}
	if from == end || !begins(text, at) {
		return none, Doubtful, 0
	}
	to := base64Set.runOf(text, from)
	for to < len(text) && (text[to] == '.' || text[to] == '~') {
		to = base64Set.runOf(text, to+1)
	}
	to = from + len(bytes.TrimRight(text[from:to], "."))
	secret := bytes.TrimRight(text[from:to], "=")
	if len(secret) < 7 || alnum.runOf(secret, 0) == len(secret) && !bytes.ContainsAny(secret, "0123456789") && len(secret) < 24 {
		return none, Doubtful, to
	}
	if startsWith(text[at:end], "basic") {
		decoded, err := base64.RawStdEncoding.AppendDecode(nil, secret)
		if err != nil || bytes.IndexByte(decoded, ':') < 1 {
			return none, Doubtful, to
		}
	}
	return span{from, to}, trust(secret), to
}

// cookie finds the values in the header that are long enough to be of a session.
func cookie(text []byte, at, end int) (span, Confidence, int) {
	from, sep := separator(text, wordDash.runBefore(text, at, maxName), end)
	if from == 0 || sep != ':' && sep != named {
		return none, Doubtful, 0
	}
	const shortest = 16
	var found span
	i := from
	for i < len(text) && i < from+maxWords*8 {
		name := wordDashDot.runOf(text, i)
		if name == i || name == len(text) || text[name] != '=' {
			break
		}
		value := credentialsEnd(text, name+1)
		if value-name > shortest && !reference(text[name+1:value]) {
			if found == none {
				found.from = name + 1
			}
			found.to = value
		}
		if value == len(text) || text[value] != ';' {
			break
		}
		i = blanks(text, value+1)
	}
	if found == none {
		return none, Doubtful, 0
	}
	return found, trust(text[found.from:found.to]), i
}

// encoded finds captured traffic, a member of JSON in base64. It is a secret only
// if it holds one.
func encoded(text []byte, _, end int) (span, Confidence, int) {
	if end == len(text) || text[end] != named {
		return none, Doubtful, 0
	}
	found, next := valueAt(text, end+1, named)
	return found, Doubtful, next
}
