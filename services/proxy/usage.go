package proxy

import "bytes"

// withUsage has a streamed answer of Chat Completions tell its usage, which it
// does only if asked, and reports whether it had to ask. A body that says
// anything about stream options is left alone. body is a JSON object that has
// been parsed, and has members.
func withUsage(body []byte) ([]byte, bool) {
	// In a string, a quotation mark has a backslash before it; what is found is
	// a member's name, or at worst a text for whose sake no usage is asked for.
	if bytes.Contains(body, []byte(`"stream_options"`)) {
		return body, false
	}
	// A name can be written with escapes, too. Nothing needs to escape a letter or
	// an underscore, so that a body which does is left alone without a closer look.
	for _, escaped := range []string{`\u005`, `\u006`, `\u007`} {
		if bytes.Contains(body, []byte(escaped)) {
			return body, false
		}
	}
	open := bytes.IndexByte(body, '{')
	if open < 0 {
		return body, false
	}
	const option = `"stream_options":{"include_usage":true},`
	with := make([]byte, 0, len(body)+len(option))
	with = append(with, body[:open+1]...)
	with = append(with, option...)
	return append(with, body[open+1:]...), true
}
