package secret

import (
	"bytes"

	"github.com/openclaw-security/bus/proto"
)

// passwordOption says how a program is given a password.
type passwordOption struct {
	program  string // its name begins so
	option   string
	joined   bool // the password can stand right behind the option
	separate bool // or it can be the next argument
}

var passwordOptions = []passwordOption{
	{"mysql", "-p", true, false},
	{"mariadb", "-p", true, false},
	{"sshpass", "-p", true, true},
	{"mongo", "-p", false, true},
	{"redis-cli", "-a", false, true},
	{"ldap", "-w", true, true},
	{"smb", "-U", true, true},
	{"login", "-p", false, true},
	{"zip", "-P", true, true},
	{"unzip", "-P", true, true},
	{"7z", "-p", true, false},
	{"sqlcmd", "-P", true, true},
	{"rdesktop", "-p", true, true},
}

// passwordOptionShapes are a shape for each, because what one has looked at
// another has not.
func passwordOptionShapes() []Shape {
	var list []Shape
	for _, o := range passwordOptions {
		list = append(list, Shape{"a password", proto.SeverityHigh, nil, ByContext, folded(o.program), o.find})
	}
	return list
}

// find finds the password that a program is given by an option of one letter.
func (o passwordOption) find(text []byte, at, end int) (span, Confidence, int) {
	stop := wordDashDot.runOf(text[:min(len(text), end+maxName)], end)
	if o.program == "login" && !endsWith(bytes.TrimRight(text[:at], " \x00"), "docker", "podman", "buildah", "skopeo", "registry", "az", "acr", "oc", "cf") {
		return none, Doubtful, 0
	}
	if !begins(text, at) || stop == len(text) || !isSpace(text[stop]) && !separates(text[stop]) {
		return none, Doubtful, 0
	}
	return o.inArguments(text, stop)
}

// inArguments looks for the option in a command's arguments, which begin at from.
func (o passwordOption) inArguments(text []byte, from int) (span, Confidence, int) {
	limit := min(len(text), from+maxWords)
	for i := from; i < limit; {
		if !isSpace(text[i]) && !separates(text[i]) {
			// Another command, or the end of this one.
			if c := text[i]; c == '|' || c == ';' || c == '&' {
				return none, Doubtful, i
			}
			i = wordEnd(text, i, limit)
			continue
		}
		if text[i] == '\n' || text[i] == named {
			return none, Doubtful, i
		}
		i++
		if !bytes.HasPrefix(text[i:], []byte(o.option)) {
			continue
		}
		value := i + len(o.option)
		switch {
		case value == len(text):
			return none, Doubtful, i
		case isSpace(text[value]) || separates(text[value]):
			if !o.separate {
				i = value
				continue
			}
			if text[value] == element {
				return o.value(text, value+1, element)
			}
			return o.value(text, blanks(text, value), ' ')
		case o.joined && text[value] != '-':
			return o.value(text, value, text[i-1])
		default:
			i = value
		}
	}
	return none, Doubtful, limit
}

// value returns the password that begins at from. What begins like an option
// is not a password; smbclient's stands behind the user and a %.
func (o passwordOption) value(text []byte, from int, sep byte) (span, Confidence, int) {
	found, _ := valueAt(text, from, sep)
	secret := text[found.from:found.to]
	if o.program == "smb" {
		i := bytes.IndexByte(secret, '%')
		if i < 0 {
			return none, Doubtful, found.to
		}
		found.from += i + 1
		secret = text[found.from:found.to]
	}
	if reference(secret) || secret[0] == '-' || len(secret) == 1 && !alnum.has(secret[0]) {
		return none, Doubtful, from
	}
	return found, trust(secret), from
}

// wordEnd returns the end of a word of a shell, with what it has in quotes.
func wordEnd(text []byte, from, limit int) int {
	quote := byte(0)
	for i := from; i < limit; i++ {
		switch c := text[i]; {
		case separates(c):
			return i
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case isQuote(c):
			quote = c
		case isSpace(c), i > from && (c == ';' || c == '|'):
			return i
		}
	}
	return limit
}

// userOption finds user:password behind the option that curl and others have.
func userOption(text []byte, at, end int) (span, Confidence, int) {
	if startsWith(text[at:end], "-user") || startsWith(text[at:end], "-auth") {
		at = wordDash.runBefore(text, at, maxName)
	}
	if !option(text, at) || end == len(text) {
		return none, Doubtful, 0
	}
	from, sep := end, byte(' ')
	switch c := text[end]; {
	case separates(c):
		from, sep = end+1, element
	case c == '=':
		from++
	case isSpace(c):
		from = blanks(text, end)
	case end-at != 2: // only a single letter can be joined to its value
		return none, Doubtful, 0
	}
	found, next := valueAt(text, from, sep)
	value := text[found.from:found.to]
	colon := bytes.IndexByte(value, ':')
	if colon <= 0 || colon+1 == len(value) || bytes.ContainsAny(value[:colon], " %+/@") {
		return none, Doubtful, next
	}
	user, password := value[:colon], value[colon+1:]
	switch {
	case reference(password), bytes.HasPrefix(password, []byte("//")), bytes.HasPrefix(value, []byte(Mark)),
		digit.runOf(user, 0) == len(user) && digit.runOf(password, 0) == len(password): // ids of a user and a group
		return none, Doubtful, next
	}
	return found, trust(password), next
}

// schemes of which the credentials are one word; the scheme stays.
var schemes = []string{"basic", "bearer", "token", "negotiate", "apikey", "ntlm", "key"}

// longSchemes have parameters, which are all taken for secret.
var longSchemes = []string{"digest", "aws4-hmac-sha256", "oauth", "hawk", "signature", "hmac"}
