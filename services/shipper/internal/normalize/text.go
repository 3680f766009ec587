package normalize

import (
	"net/netip"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/openclaw-security/bus/proto"
)

// maxTitle bounds a title, in characters.
const maxTitle = 200

// oneLine makes s a title: one line of at most maxTitle characters, none of
// which controls a terminal or the direction of text.
func oneLine(s string) string {
	s = strings.TrimSpace(s)
	if len(s) <= maxTitle && !strings.ContainsFunc(s, controls) {
		return s
	}
	var b strings.Builder
	count := 0
	for i, r := range s {
		if controls(r) {
			r = ' '
		}
		if count++; count == maxTitle && i+utf8.RuneLen(r) < len(s) {
			r = '…'
		}
		b.WriteRune(r)
		if count == maxTitle {
			break
		}
	}
	return strings.TrimSpace(b.String())
}

func controls(r rune) bool {
	if r < utf8.RuneSelf {
		return r < ' ' || r == 0x7f
	}
	return unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp, unicode.Bidi_Control)
}

// Address returns an IP address in its usual form: an IPv6 address shortened
// (RFC 5952), an IPv4 address mapped into IPv6 as IPv4. Other text is returned
// unchanged.
func Address(s string) string {
	if !strings.Contains(s, ":") {
		return s
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return s
	}
	return a.Unmap().String()
}

// HostPort writes an endpoint for a title: "192.0.2.1:443", "[2001:db8::1]:443",
// the address alone if there is no port, or a Unix socket's path.
func HostPort(p *proto.Endpoint) string {
	switch {
	case p == nil:
		return ""
	case p.IP == "":
		return p.Path
	case p.Port == 0:
		return p.IP
	}
	var b [64]byte
	out := b[:0]
	if strings.Contains(p.IP, ":") {
		out = append(append(append(out, '['), p.IP...), ']')
	} else {
		out = append(out, p.IP...)
	}
	return string(strconv.AppendInt(append(out, ':'), int64(p.Port), 10))
}

// URLPath drops the query string, which often carries secrets, and what a
// request to a proxy has in front of the path: scheme, credentials and host.
func URLPath(url string) string {
	if i := strings.IndexAny(url, "?#"); i >= 0 {
		url = url[:i]
	}
	if i := strings.Index(url, "://"); i > 0 && !strings.Contains(url[:i], "/") {
		url = url[i+len("://"):]
		if i := strings.IndexByte(url, '/'); i >= 0 {
			return url[i:]
		}
		return "/"
	}
	return url
}
