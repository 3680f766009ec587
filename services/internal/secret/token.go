package secret

import (
	"bytes"
	"encoding/base64"
)

// set is a set of characters.
type set [256]bool

func (s *set) has(c byte) bool { return s[c] }

// setOf returns the letters and digits that a regular expression's character
// class would have: "a-z0-9_-".
func setOf(class string) *set {
	s := new(set)
	for i := 0; i < len(class); i++ {
		if i+2 < len(class) && class[i+1] == '-' {
			for c := class[i]; c <= class[i+2]; c++ {
				s[c] = true
			}
			i += 2
			continue
		}
		s[class[i]] = true
	}
	return s
}

var (
	letters       = setOf("A-Za-z")
	alnum         = setOf("A-Za-z0-9")
	word          = setOf("A-Za-z0-9_")
	wordDash      = setOf("A-Za-z0-9_-")
	wordDashDot   = setOf("A-Za-z0-9_.-")
	wordDashEqual = setOf("A-Za-z0-9_=-")
	hex           = setOf("0-9a-f")
	hexDash       = setOf("0-9a-f-")
	digit         = setOf("0-9")
	base32        = setOf("A-Z2-7")
	upperDigit    = setOf("A-Z0-9")
	base64Set     = setOf("A-Za-z0-9_+/=-")
	base64Std     = setOf("A-Za-z0-9+/")
	urlPath       = setOf("A-Za-z0-9_@/-")
	token         = setOf("A-Za-z0-9_.+/=-") // all of what starts with its hint
	cryptHash     = setOf("A-Za-z0-9_./$=,+-")
)

// runOf returns the end of the run of s that begins at from.
func (s *set) runOf(text []byte, from int) int {
	for from < len(text) && s[text[from]] {
		from++
	}
	return from
}

// runBefore returns the start of the run of s that ends at to, at most limit
// bytes before.
func (s *set) runBefore(text []byte, to, limit int) int {
	from := to
	for from > 0 && to-from < limit && s[text[from-1]] {
		from--
	}
	return from
}

// begins reports whether a word begins at at.
func begins(text []byte, at int) bool { return at == 0 || !word.has(text[at-1]) }

var none span

// run finds a prefix with at least shortest characters of s behind it; with usual
// ones it is sure.
func run(s *set, shortest, usual int) finder {
	return func(text []byte, at, end int) (span, Confidence, int) {
		if !begins(text, at) {
			return none, Doubtful, 0
		}
		to := s.runOf(text, end)
		switch {
		case to-end < shortest:
			return none, Doubtful, 0
		case to-end < usual:
			return span{at, to}, Likely, to
		}
		return span{at, to}, Sure, to
	}
}

// after is [run] without the prefix, which may stand anywhere and stays.
func after(s *set, shortest, usual int) finder {
	return func(text []byte, _, end int) (span, Confidence, int) {
		to := s.runOf(text, end)
		switch {
		case to-end < shortest:
			return none, Doubtful, 0
		case to-end < usual:
			return span{end, to}, Likely, to
		}
		return span{end, to}, Sure, to
	}
}

// only finds a prefix with exactly length characters of s behind it, and no
// letter or digit around.
func only(s *set, length int) finder {
	return func(text []byte, at, end int) (span, Confidence, int) {
		to := min(end+length, len(text))
		if to-end < length || !begins(text, at) || at > 0 && text[at-1] == '-' || to < len(text) && wordDash.has(text[to]) || s.runOf(text[:to], end) < to {
			return none, Doubtful, 0
		}
		return span{at, to}, Sure, to
	}
}

// mixed is find for secrets that have upper case, lower case and digits.
func mixed(find finder) finder {
	return func(text []byte, at, end int) (span, Confidence, int) {
		found, sure, next := find(text, at, end)
		if !strong(text[found.from:found.to]) {
			return none, Doubtful, next
		}
		return found, sure, next
	}
}

// openAI finds keys with the mark that OpenAI puts in the middle, and those that
// begin as its keys do.
func openAI(text []byte, at, end int) (span, Confidence, int) {
	const longest = 256
	if text[at] != 'T' {
		return run(wordDash, 8, 40)(text, at, end)
	}
	from, to := wordDash.runBefore(text, at, longest), wordDash.runOf(text, end)
	from += max(0, bytes.LastIndex(text[from:at], []byte("sk-")))
	if at-from < 20 || to-end < 20 || !bytes.HasPrefix(text[from:], []byte("sk-")) {
		return none, Doubtful, to
	}
	return span{from, to}, Sure, to
}

// skKey finds what begins with sk- and holds a digit, unless a shape of its own
// knows it.
func skKey(text []byte, at, end int) (span, Confidence, int) {
	found, sure, next := run(wordDash, 16, 32)(text, at, end)
	for _, known := range []string{"ant-", "proj-", "svcacct-", "admin-", "or-"} {
		if bytes.HasPrefix(text[end:], []byte(known)) {
			return none, Doubtful, next
		}
	}
	key := text[found.from:found.to]
	if !bytes.ContainsAny(key, "0123456789") || bytes.Contains(key, []byte("T3BlbkFJ")) {
		return none, Doubtful, next
	}
	return found, sure, next
}

func awsKeyID(text []byte, at, end int) (span, Confidence, int) {
	found, _, next := run(upperDigit, 12, 16)(text, at, end)
	if found.to-end == 16 && base32.runOf(text, end) == found.to {
		return found, Sure, next
	}
	return found, Likely, next
}

// awsSecretLength is the length of an AWS secret key, which is base64.
const awsSecretLength = 40

// awsSecret finds the value of what is called a secret access key.
func awsSecret(text []byte, _, end int) (span, Confidence, int) {
	const farthest = 8 // quotes, spaces and an = or :
	from := end
	for from < len(text) && from < end+farthest && !base64Std.has(text[from]) {
		from++
	}
	to := base64Std.runOf(text[:min(len(text), from+awsSecretLength+1)], from)
	if from == end || to-from != awsSecretLength {
		return none, Doubtful, 0
	}
	return span{from, to}, Sure, to
}

// awsPair finds the secret key that stands beside its id, as in the file that
// AWS hands out.
func awsPair(text []byte, at, end int) (span, Confidence, int) {
	const idLength, farthest = 20, 48
	id := min(at+idLength, len(text))
	if upperDigit.runOf(text[:min(len(text), id+1)], end) != id || !begins(text, at) {
		return none, Doubtful, 0
	}
	for from := id + 1; from < min(id+farthest, len(text)); from++ {
		if !base64Std.has(text[from]) || base64Std.has(text[from-1]) {
			continue
		}
		to := base64Std.runOf(text[:min(len(text), from+awsSecretLength+1)], from)
		if to-from == awsSecretLength && strong(text[from:to]) {
			return span{from, to}, Sure, 0
		}
	}
	return none, Doubtful, 0
}

// azureSecret finds client secrets of Entra ID, which have Q~ behind three
// characters and a digit.
func azureSecret(text []byte, at, end int) (span, Confidence, int) {
	from := at - 4
	if from < 0 || !digit.has(text[at-1]) || wordDashDot.runOf(text[:at], from) != at || !begins(text, from) {
		return none, Doubtful, 0
	}
	to := end
	for to < len(text) && (wordDashDot.has(text[to]) || text[to] == '~') {
		to++
	}
	if to-end < 30 {
		return none, Doubtful, 0
	}
	return span{from, to}, Sure, to
}

// signature finds what signs a URL that anybody can use.
func signature(text []byte, at, end int) (span, Confidence, int) {
	if at > 0 && text[at-1] != '?' && text[at-1] != '&' && text[at-1] != ';' {
		return none, Doubtful, 0
	}
	to := end
	for to < len(text) && (base64Set.has(text[to]) || text[to] == '%') {
		to++
	}
	if to-end < 20 {
		return none, Doubtful, 0
	}
	return span{end, to}, Sure, to
}

func terraform(text []byte, at, end int) (span, Confidence, int) {
	from, to := alnum.runBefore(text, at, 16), wordDash.runOf(text, end)
	if at-from != 14 || to-end < 40 {
		return none, Doubtful, to
	}
	return span{from, to}, Sure, to
}

// slack finds tokens of Slack, which hold a long number if they are real.
func slack(text []byte, at, end int) (span, Confidence, int) {
	found, _, next := run(wordDashDot, 8, 8)(text, at, end)
	numbers := 0
	for _, c := range text[found.from:found.to] {
		if digit.has(c) {
			numbers++
		}
	}
	if found.to-end >= 20 && numbers >= 6 {
		return found, Sure, next
	}
	return found, Likely, next
}

// slackWebhook finds the path of a hook; the host stays.
func slackWebhook(text []byte, _, end int) (span, Confidence, int) {
	to := urlPath.runOf(text, end)
	switch parts := bytes.Count(text[end:to], []byte{'/'}); {
	case parts < 2 || to-end < 12:
		return none, Doubtful, to
	case to-end < 40:
		return span{end, to}, Likely, to
	}
	return span{end, to}, Sure, to
}

func telegram(text []byte, at, end int) (span, Confidence, int) {
	from, to := digit.runBefore(text, at, 13), wordDash.runOf(text, end)
	switch {
	case at-from < 6 || at-from > 12 || to-end < 28:
		return none, Doubtful, 0
	case at-from < 8 || at-from > 10 || to-end != 33:
		return span{from, to}, Likely, to
	}
	return span{from, to}, Sure, to
}

// discord finds bot tokens by the dots between their three parts: the bot's
// number in base64, a time in six characters, and a signature.
func discord(text []byte, at, end int) (span, Confidence, int) {
	second := end + 6
	if second >= len(text) || text[second] != '.' || wordDash.runOf(text[:second], end) != second {
		return none, Doubtful, 0
	}
	from, to := wordDash.runBefore(text, at, 29), wordDash.runOf(text[:min(len(text), second+80)], second+1)
	if n := at - from; n < 23 || n > 28 || to-second-1 < 27 || text[from] < 'M' || text[from] > 'O' {
		return none, Doubtful, 0
	}
	return span{from, to}, Sure, to
}

// holdsDiscord reports whether [discord] may find a token in a text, also behind
// an escape. Dots are everywhere; the run behind the second one is so long that
// it is found by looking at few characters.
func holdsDiscord(text []byte) bool {
	const id, signature = 23, 27 // shortest
	for i := signature; i < len(text); i += signature {
		if !wordDash.has(text[i]) {
			continue
		}
		from := wordDash.runBefore(text, i, signature)
		if dot := from - 8; dot >= 0 && text[from-1] == '.' && text[dot] == '.' {
			if dot-wordDash.runBefore(text, dot, id) == id && wordDash.runOf(text[:from-1], dot+1) == from-1 && wordDash.runOf(text[:min(len(text), from+signature)], from) == from+signature {
				return true
			}
		}
	}
	return false
}

// discordWebhook finds the secret of a hook behind its number.
func discordWebhook(text []byte, _, end int) (span, Confidence, int) {
	number := digit.runOf(text, end)
	to := wordDash.runOf(text, min(number+1, len(text)))
	if number-end < 10 || number == len(text) || text[number] != '/' || to-number < 40 {
		return none, Doubtful, number
	}
	return span{number + 1, to}, Sure, to
}

func sendGrid(text []byte, at, end int) (span, Confidence, int) {
	dot := wordDash.runOf(text, end)
	if dot-end < 16 || dot == len(text) || text[dot] != '.' || !begins(text, at) {
		return none, Doubtful, 0
	}
	to := wordDash.runOf(text, dot+1)
	switch {
	case to-dot <= 16:
		return none, Doubtful, 0
	case dot-end != 22 || to-dot != 44:
		return span{at, to}, Likely, to
	}
	return span{at, to}, Sure, to
}

// mailgun finds keys, which could be the last part of a name with a hash.
func mailgun(text []byte, at, end int) (span, Confidence, int) {
	if at > 0 && wordDashDot.has(text[at-1]) {
		return none, Doubtful, 0
	}
	return only(hex, 32)(text, at, end)
}

// mailchimp finds the name of a data center behind a key.
func mailchimp(text []byte, at, end int) (span, Confidence, int) {
	from, to := hex.runBefore(text, at, 33), digit.runOf(text, end)
	if at-from != 32 || !begins(text, from) || to == end || to-end > 3 {
		return none, Doubtful, 0
	}
	return span{from, to}, Sure, to
}

// jwt finds JSON Web Tokens, also those without a signature.
func jwt(text []byte, at, end int) (span, Confidence, int) {
	header := wordDash.runOf(text, end)
	if !begins(text, at) || header-end < 8 || header+1 >= len(text) || text[header] != '.' || !wordDash.has(text[header+1]) {
		return none, Doubtful, header
	}
	to := wordDashDot.runOf(text, header)
	payload := wordDash.runOf(text, header+1)
	if !bytes.HasPrefix(text[header+1:], []byte("eyJ")) || to-payload < 20 {
		return span{at, to}, Likely, to
	}
	return span{at, to}, Sure, to
}

var (
	pemBegin = []byte("-----BEGIN ")
	pemEnd   = []byte("-----END ")
	pemDash  = []byte("-----")
)

// pem finds private keys of OpenSSL, OpenSSH and PGP, whole or cut.
func pem(text []byte, at, end int) (span, Confidence, int) {
	const kind, body, longestKey = 32, 512, 16 << 10 // bytes before the hint, of the key to look at, of a key
	start := max(0, at-kind)
	begin := bytes.LastIndex(text[start:at], pemBegin)
	if begin < 0 {
		return none, Doubtful, 0
	}
	from := start + begin
	dash := bytes.Index(text[end:min(len(text), end+16)], pemDash)
	if dash < 0 {
		return none, Doubtful, 0
	}
	content := end + dash + len(pemDash)
	// The lines can be elements of a list, but not members of an object.
	to := len(text)
	if i := bytes.IndexByte(text[content:], named); i >= 0 {
		to = content + i
	}
	if i := bytes.Index(text[content:min(to, content+longestKey)], pemEnd); i >= 0 {
		to = content + i + len(pemEnd)
		if i := bytes.Index(text[to:min(len(text), to+2*kind+16)], pemDash); i >= 0 {
			to += i + len(pemDash)
		}
	} else { // cut; what follows is taken for a part of it as long as it could be one
		to = content
		for to < len(text) && !separates(text[to]) && (base64Set.has(text[to]) || isSpace(text[to]) || bytes.IndexByte([]byte(`"'\\,:;`), text[to]) >= 0) {
			to++
		}
	}
	sure, longest, length := Doubtful, 0, 0
	for _, c := range text[content:min(to, content+body)] {
		if length++; !base64Std.has(c) && c != '=' {
			length = 0
		}
		longest = max(longest, length)
	}
	switch {
	case longest >= 40:
		sure = Sure
	case longest >= 12:
		sure = Likely
	}
	return span{from, to}, sure, to
}

// encodedPEM finds private keys in base64, as in a kubeconfig.
func encodedPEM(text []byte, at, end int) (span, Confidence, int) {
	const head = 88
	to := base64Set.runOf(text, end)
	start := text[at:min(to, at+head)]
	decoded, _ := base64.RawStdEncoding.AppendDecode(nil, start[:len(start)&^3])
	if !begins(text, at) || !bytes.Contains(decoded, []byte("PRIVATE KEY")) {
		return none, Doubtful, to
	}
	return span{at, to}, Sure, to
}

// putty finds the private lines of a key of PuTTY.
func putty(text []byte, _, end int) (span, Confidence, int) {
	to := len(text)
	if i := bytes.IndexAny(text[end:], "\x00\x01"); i >= 0 {
		to = end + i
	}
	if i := bytes.Index(text[end:to], []byte("Private-MAC")); i >= 0 {
		to = end + i
	}
	return span{end, to}, Sure, to
}
