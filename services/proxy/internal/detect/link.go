package detect

import (
	"bytes"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/secret"
	"github.com/openclaw-security/bus/services/proxy/internal/known"
)

// A link in an answer carries data out: an image's as soon as the answer is shown, or where
// a chat makes a preview of it, another's when somebody follows it.
//
//	text ─▶ from the last "http" to the URL's end ─▶ stood in a request? ─▶ nothing
//	                                                    └ no ─▶ decoded: text, a secret ─▶ finding
//
// What a URL holds is judged by itself: hashes, signatures and ids are random, and words are
// short. Text in a code shows only when it is decoded, and there is no reason to send a
// person text in a code.

// Bounds of a link, in bytes.
const (
	maxLink    = 8 << 10
	linkBefore = 512 // that are looked at to see what a URL is the address of
	minLink    = 32  // of a URL that is remembered: a shorter one has no room for anything
	maxLinks   = 1 << 15
)

// linkText follows the links of one text.
type linkText struct {
	held []byte // the text from where the next URL, or what it is the address of, may begin
	from int    // of held, up to where there is no URL that has not been judged
}

// write returns what is found in the links that end in text, or with it if that is the last.
func (t *linkText) write(text []byte, last bool, judge func(link []byte, image bool)) {
	t.held = append(t.held, text...)
	for {
		i := bytes.Index(t.held[t.from:], []byte("://"))
		if i < 0 {
			t.from = max(t.from, len(t.held)-len("https://"))
			break
		}
		at := t.from + i
		start := at - schemeBefore(t.held[:at])
		if start == at {
			t.from = at + 3
			continue
		}
		end := linkEnd(t.held, at+3)
		if end == len(t.held) && !last && end-start < maxLink {
			t.from = at
			break
		}
		link := trimLink(t.held[start:min(end, start+maxLink)])
		judge(link, isImage(t.held[max(start-linkBefore, 0):start]))
		t.from = max(end, at+3)
	}
	if last {
		t.held, t.from = nil, 0
		return
	}
	if cut := t.from - linkBefore - len("https"); cut > linkBefore {
		t.held = t.held[:copy(t.held, t.held[cut:])]
		t.from -= cut
	}
}

// schemeBefore is the length of http or https at the end of text.
func schemeBefore(text []byte) int {
	for _, scheme := range []string{"https", "http"} {
		if n := len(text) - len(scheme); n >= 0 && strings.EqualFold(string(text[n:]), scheme) {
			return len(scheme)
		}
	}
	return 0
}

// linkEnd is where the URL ends whose authority begins at from. A bracket ends it that it
// has not opened.
func linkEnd(text []byte, from int) int {
	open := 0
	for i := from; i < len(text) && i-from < maxLink; i++ {
		switch c := text[i]; {
		case c <= ' ', c == '"', c == '<', c == '>', c == '`', c == '\\', c == '|', c == '\'', c == 0x7f:
			return i
		case c == '(':
			open++
		case c == ')':
			if open--; open < 0 {
				return i
			}
		case c == ']' && bytes.IndexByte(text[from:i], '[') < 0:
			return i
		}
	}
	return min(len(text), from+maxLink)
}

// trimLink is a URL without what belongs to the sentence.
func trimLink(link []byte) []byte {
	return bytes.TrimRight(link, ".,;:!?*_~")
}

// isImage reports whether what stands before a URL has a client load it by itself: an image
// of Markdown or HTML, a definition that one can refer to, a style, a frame.
func isImage(before []byte) bool {
	before = bytes.TrimRight(before, " \t\n<\"'")
	switch {
	case bytes.HasSuffix(before, []byte("](")):
		depth := 0
		for i := len(before) - 2; i >= 0; i-- {
			switch before[i] {
			case ']':
				depth++
			case '[':
				if depth--; depth == 0 {
					return i > 0 && before[i-1] == '!'
				}
			}
		}
		return false
	case bytes.HasSuffix(before, []byte("]:")):
		i := bytes.LastIndexByte(before, '\n') + 1
		return bytes.HasPrefix(bytes.TrimLeft(before[i:], " "), []byte("["))
	case bytes.HasSuffix(bytes.ToLower(before), []byte("url(")):
		return true
	}
	i := bytes.LastIndexByte(before, '<')
	if i < 0 || bytes.IndexByte(before[i:], '>') >= 0 {
		return false
	}
	tag, _, _ := strings.Cut(strings.ToLower(string(before[i+1:])), " ")
	return slices.Contains([]string{"img", "image", "iframe", "source", "video", "audio", "link", "embed", "object", "script", "input", "body", "svg", "use", "track"}, strings.TrimSpace(tag))
}

// remember takes note of the links in a request's text, which the client has anyway.
func (d *Detector) remember(w *scratch, scope known.Scope, text []byte) {
	if d.modes[LinkExfil] == Off {
		return
	}
	note := func(link []byte, _ bool) {
		if len(link) >= minLink {
			d.links.Put(w.hash.Sum(scope+3, withoutEntities(link)), struct{}{})
		}
	}
	new(linkText).write(text, true, note)
	if bytes.Contains(text, []byte(`\/`)) || bytes.Contains(text, []byte(`\u0026`)) { // JSON in a text
		if changed, ok := plain(nil, text); ok {
			new(linkText).write(changed, true, note)
		}
	}
}

// withoutEntities is a URL as it is in HTML and elsewhere.
func withoutEntities(link []byte) []byte {
	return bytes.ReplaceAll(link, []byte("&amp;"), []byte("&"))
}

// link adds what a link of an answer carries.
func (d *Detector) link(w *scratch, found *findings, scope known.Scope, link []byte, image bool) {
	if len(link) < minLink {
		return
	}
	link = withoutEntities(link)
	what, severity := carries(link, image)
	if what == "" {
		return
	}
	if _, ok := d.links.Get(w.hash.Sum(scope+3, link)); ok {
		return
	}
	kind := "a link"
	if image {
		kind = "an image"
	}
	host := "?"
	if u, err := url.Parse(string(link)); err == nil {
		host = u.Hostname()
	}
	if len(host) > 60 { // what is in the labels of a host is data
		host = "…" + host[len(host)-40:]
	}
	found.add(Finding{
		Rule: LinkExfil, Severity: severity, Where: InResponse,
		Detail: fmt.Sprintf("%s to %.60q whose address has %s", kind, host, what), Enforced: d.modes[LinkExfil] == Enforce,
	})
}

// carries says what data a URL holds, empty if it holds none.
func carries(link []byte, image bool) (what string, severity proto.Severity) {
	severity = proto.SeverityMedium
	if image {
		severity = proto.SeverityHigh
	}
	u, err := url.Parse(string(link))
	if err != nil {
		// A client's parser may be kinder.
		u = &url.URL{Path: string(link)}
	}
	if shape := secretIn(u, link); shape != "" {
		return "a secret (" + shape + ")", proto.SeverityHigh
	}
	host := strings.ToLower(u.Hostname())
	if takesText(host, u.Path) {
		return "", 0
	}
	if slices.ContainsFunc(labels(host), func(code string) bool { return decodes(code, minLabel) }) {
		return "text in a code as its host", severity
	}
	if what := address(u, image); what != "" {
		return what, severity
	}
	return "", 0
}

// secretIn names a secret by its shape that a URL takes elsewhere than to its issuer. Names
// of parameters say nothing: everything that is signed has a token.
func secretIn(u *url.URL, link []byte) string {
	values := strings.Split(u.Path+"/"+u.Fragment, "/")
	parameters := strings.Split(u.RawQuery, "&")
	for _, p := range parameters[:min(len(parameters), maxParameters)] {
		name, value, ok := strings.Cut(p, "=")
		if documented(name, parameters, false) {
			continue
		}
		if !ok {
			value = p
		}
		if plain, err := url.QueryUnescape(value); err == nil {
			value = plain
		}
		values = append(values, value)
	}
	for _, s := range secret.Known([]byte(strings.Join(values, "\n"))) {
		if s.Severity() >= proto.SeverityHigh && !atHome(link, s) {
			return s.Shape.Name
		}
	}
	return ""
}
