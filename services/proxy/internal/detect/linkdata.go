package detect

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// How much a URL may hold. Ids that are text in base64 ("gid://shop/Product/123") are
// shorter than what is worth stealing; and what an image's address is made of is chosen by
// a program, while a link's may be a form that is filled in.
const (
	minCoded      = 16  // bytes of text in a code
	minLabel      = 10  // of the same in a host, where hardly anything is a code
	minImageWords = 6   // in a parameter of an image
	minLinkWords  = 14  // in a parameter of a link
	minPathWords  = 10  // in a name in a path
	maxOpaque     = 400 // of random letters in an image's parameter
	maxParameters = 64
)

// address says what the path, query and fragment of a URL hold.
func address(u *url.URL, image bool) string {
	for _, name := range strings.Split(strings.Trim(u.EscapedPath(), "/"), "/") {
		if coded(name, 0) {
			return "text in a code in its path"
		}
		if plain, err := url.PathUnescape(name); err == nil && words(plain) >= minPathWords && image {
			return "a text in its path"
		}
	}
	parameters := strings.FieldsFunc(u.RawQuery, func(c rune) bool { return c == '&' || c == ';' })
	if len(parameters) > maxParameters {
		return "very many parameters"
	}
	for _, p := range parameters {
		name, value, ok := strings.Cut(p, "=")
		if !ok {
			name, value = "", p
		}
		if documented(name, parameters, image) {
			continue
		}
		if coded(value, 0) {
			return "text in a code in its query"
		}
		plain, err := url.QueryUnescape(value)
		if err != nil {
			continue
		}
		limit := minLinkWords
		if image {
			limit = minImageWords
		}
		switch n := words(plain); {
		case strings.Contains(plain, "://") && n < limit: // another URL
		case n >= limit:
			return "a text in its query"
		case image && reaches(plain):
			return "an address of a person in its query"
		case image && len(plain) >= maxOpaque && isCode(plain):
			return "long data in its query"
		}
	}
	if f := u.EscapedFragment(); !strings.HasPrefix(f, ":~:") && coded(f, 0) {
		return "text in a code in its fragment"
	}
	return ""
}

// coded reports whether a part of a URL is text in a code, as it is or taken apart at what
// separates parts within it.
func coded(part string, depth int) bool {
	if len(part) < minCoded || depth > 2 {
		return false
	}
	plain := part
	if p, err := url.PathUnescape(part); err == nil {
		plain = p
	}
	if decodes(plain, minCoded) {
		return true
	}
	pieces := strings.FieldsFunc(plain, func(c rune) bool { return strings.ContainsRune("/?&=#,;:.|!@ ~$", c) })
	return len(pieces) > 1 && slices.ContainsFunc(pieces, func(s string) bool { return decodes(s, minCoded) })
}

// decodes reports whether s is text of at least n bytes in base64, base32 or hexadecimal
// digits. A URL within is no data, if it holds none itself.
func decodes(s string, n int) bool {
	if len(s) < n {
		return false
	}
	try := func(text []byte, err error) bool {
		if err != nil || len(text) < n || !isText(text) {
			return false
		}
		inner := string(text)
		if scheme, rest, ok := strings.Cut(inner, "://"); ok && len(scheme) < 10 && !strings.ContainsAny(inner, " \n\t") {
			return coded(rest, 1)
		}
		return true
	}
	bare := strings.TrimRight(s, "=~")
	if text, err := hex.DecodeString(strings.TrimPrefix(bare, "0x")); try(text, err) {
		return true
	}
	letters := strings.NewReplacer("-", "+", "_", "/", " ", "+").Replace(bare)
	for cut := range 4 { // a piece that was taken out of a longer one
		if len(letters) <= cut+n {
			break
		}
		from := letters[cut:]
		text, err := base64.RawStdEncoding.DecodeString(from[:len(from)&^3])
		if err != nil {
			break
		}
		if try(text, nil) {
			return true
		}
	}
	upper := strings.ToUpper(bare)
	text, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(upper[:len(upper)&^7])
	return (upper == bare || strings.ToLower(bare) == bare) && try(text, err)
}

// isText reports whether decoded bytes are what somebody has written: what is random is not
// printable, and what is printable by chance has few letters.
func isText(b []byte) bool {
	if !utf8.Valid(b) {
		return false
	}
	letters, all := 0, 0
	for _, c := range string(b) {
		all++
		switch {
		case c == '\n' || c == '\t' || c == '\r':
		case c < ' ' || c == 0x7f || !unicode.IsPrint(c):
			return false
		case unicode.IsLetter(c) || c == ' ' || unicode.IsDigit(c):
			letters++
		}
	}
	return letters*10 >= all*7
}

// isCode reports whether s has the letters of a code only.
func isCode(s string) bool {
	return strings.IndexFunc(s, func(c rune) bool {
		return !(c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.ContainsRune("-_+/=", c))
	}) < 0
}

// words counts the words in s, also where what is between them is written otherwise.
func words(s string) int {
	n := 0
	for _, w := range strings.FieldsFunc(s, func(c rune) bool { return strings.ContainsRune(" \t\r\n_-+,;:\"{}", c) }) {
		letters := strings.IndexFunc(w, func(c rune) bool { return !unicode.IsLetter(c) && !strings.ContainsRune(".!?'’()", c) }) < 0
		if letters && len(w) > 1 || w == "a" || w == "I" {
			n++
		}
	}
	return n
}

// reaches reports whether s is where a person can be reached.
func reaches(s string) bool {
	at := strings.IndexByte(s, '@')
	return at > 0 && strings.IndexByte(s[at:], '.') > 1 && !strings.ContainsAny(s, " /")
}

// labels are the parts of a host that its owner may choose, and those that follow each
// other as one.
func labels(host string) []string {
	if _, err := netip.ParseAddr(host); err == nil {
		return nil
	}
	all := strings.Split(host, ".")
	if len(all) < 3 {
		return nil
	}
	own := all[:min(len(all)-2, 8)]
	var codes []string
	for from := range own {
		for to := from; to < len(own); to++ {
			codes = append(codes, strings.Join(own[from:to+1], ""))
		}
	}
	return codes
}

// documented reports whether a parameter is one of a scheme by which a link is signed, or in
// which a program asks for a person's consent: it holds text in a code by its nature.
//
// Sources: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html,
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-creating-signed-url-custom-policy.html,
// https://www.rfc-editor.org/rfc/rfc6749 (section 4.1.1).
func documented(name string, parameters []string, image bool) bool {
	has := func(names ...string) bool {
		return !slices.ContainsFunc(names, func(n string) bool {
			return !slices.ContainsFunc(parameters, func(p string) bool { return strings.HasPrefix(p, n+"=") })
		})
	}
	lower := strings.ToLower(name)
	switch {
	case strings.HasPrefix(lower, "x-amz-"):
		return has("X-Amz-Signature")
	case strings.HasPrefix(lower, "x-goog-"):
		return has("X-Goog-Signature")
	case name == "Policy" || name == "Signature":
		return has("Policy", "Signature", "Key-Pair-Id")
	case image:
		return false
	case lower == "state" || lower == "scope" || lower == "nonce":
		return has("client_id", "response_type") || has("client_id", "redirect_uri")
	}
	return false
}

// takesText reports whether a host is made to be given text in a URL, which goes to nobody
// who could have written the link: search, sharing, and what draws a picture of it. A link
// to this machine goes nowhere.
func takesText(host, path string) bool {
	if ip, err := netip.ParseAddr(host); err == nil && (ip.IsLoopback() || ip.IsPrivate()) || host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	if host == "t.me" {
		return strings.HasPrefix(path, "/share")
	}
	if host == "github.com" {
		return true // what an issue is opened with is seen before it is sent
	}
	return slices.Contains(textHosts, strings.TrimPrefix(host, "www."))
}

var textHosts = []string{
	"google.com", "maps.google.com", "calendar.google.com", "translate.google.com", "scholar.google.com", "bing.com", "duckduckgo.com", "search.brave.com", "kagi.com", "perplexity.ai", "wolframalpha.com",
	"chatgpt.com", "claude.ai", "twitter.com", "x.com", "wa.me", "api.whatsapp.com", "linkedin.com", "facebook.com", "reddit.com", "bsky.app", "outlook.live.com", "outlook.office.com",
	"img.shields.io", "shields.io", "badgen.net", "quickchart.io", "chart.googleapis.com", "mermaid.ink", "mermaid.live", "kroki.io", "plantuml.com", "latex.codecogs.com", "api.qrserver.com", "placehold.co",
	"dummyimage.com", "image.pollinations.ai", "regex101.com", "play.golang.org", "go.dev", "typescriptlang.org", "godbolt.org", "codepen.io", "jsfiddle.net", "deepl.com", "youtube.com", "openstreetmap.org",
}
