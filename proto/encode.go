package proto

import (
	"strconv"
	"time"
	"unicode/utf8"
)

// AppendJSON appends the event's JSON form to dst. Unlike encoding/json it
// copies Raw byte for byte, and it costs no allocation beyond growing dst.
// Invalid UTF-8 in strings becomes U+FFFD; control characters (C0, DEL and C1)
// in them are escaped, so that printing an event's own fields cannot drive a
// terminal.
//
// It cannot fail, so the caller keeps three promises, without which a reader
// could not decode the event: Raw is a valid JSON value in UTF-8 on one line,
// Severity is on the scale, and Time has a year of 0 to 9999 in UTC.
func (e *Event) AppendJSON(dst []byte) []byte {
	o := object{b: dst}
	o.open()
	o.str("id", e.ID)
	o.time("time", e.Time)
	o.str("host", e.Host)
	o.str("source", e.Source)
	o.str("kind", e.Kind)
	o.str("severity", e.Severity.String())
	o.num("severity_id", int64(e.SeverityID))
	o.num("class_uid", int64(e.ClassUID))
	o.str("title", e.Title)
	o.optStr("action", e.Action)
	if r := e.Rule; r != nil {
		o.key("rule")
		o.open()
		o.str("id", r.ID)
		o.optStr("name", r.Name)
		o.optStr("category", r.Category)
		o.optNum("revision", r.Revision)
		o.close()
	}
	if len(e.MITRE) > 0 {
		o.key("mitre")
		o.b = append(o.b, '[')
		for i, t := range e.MITRE {
			if i > 0 {
				o.b = append(o.b, ',')
			}
			o.open()
			o.optStr("tactic_id", t.TacticID)
			o.optStr("tactic", t.Tactic)
			o.optStr("id", t.ID)
			o.optStr("name", t.Name)
			o.close()
		}
		o.b = append(o.b, ']')
	}
	o.endpoint("src", e.Src)
	o.endpoint("dst", e.Dst)
	if n := e.Network; n != nil {
		o.key("network")
		o.open()
		o.optStr("transport", n.Transport)
		o.optStr("app_protocol", n.AppProtocol)
		o.optStr("direction", n.Direction)
		o.optStr("community_id", n.CommunityID)
		o.optStr("flow_id", n.FlowID)
		o.optStr("state", n.State)
		o.optNum("bytes_to_server", n.BytesToServer)
		o.optNum("bytes_to_client", n.BytesToClient)
		o.optNum("pkts_to_server", n.PktsToServer)
		o.optNum("pkts_to_client", n.PktsToClient)
		o.close()
	}
	if d := e.DNS; d != nil {
		o.key("dns")
		o.open()
		o.optStr("type", d.Type)
		o.optStrs("names", d.Names)
		o.optStr("rrtype", d.RRType)
		o.optStr("rcode", d.RCode)
		o.optStrs("answers", d.Answers)
		o.close()
	}
	if h := e.HTTP; h != nil {
		o.key("http")
		o.open()
		o.optStr("method", h.Method)
		o.optStr("hostname", h.Hostname)
		o.optStr("path", h.Path)
		o.optStr("user_agent", h.UserAgent)
		o.optNum("status", int64(h.Status))
		o.optStr("content_type", h.ContentType)
		o.optNum("length", h.Length)
		o.close()
	}
	if t := e.TLS; t != nil {
		o.key("tls")
		o.open()
		o.optStr("sni", t.SNI)
		o.optStr("version", t.Version)
		o.optStr("ja3", t.JA3)
		o.optStr("ja3s", t.JA3S)
		o.optStr("ja4", t.JA4)
		o.optStr("subject", t.Subject)
		o.optStr("issuer", t.Issuer)
		o.close()
	}
	if f := e.File; f != nil {
		o.key("file")
		o.open()
		o.optStr("path", f.Path)
		o.optStr("access", f.Access)
		o.optNum("size", f.Size)
		o.optStr("sha256", f.SHA256)
		o.optStr("type", f.Type)
		o.close()
	}
	if p := e.Process; p != nil {
		o.key("process")
		o.open()
		o.optStr("name", p.Name)
		o.optStr("executable", p.Executable)
		o.optStrs("args", p.Args)
		o.optNum("pid", p.PID)
		o.optNum("parent_pid", p.ParentPID)
		if p.UID != nil {
			o.num("uid", *p.UID)
		}
		o.close()
	}
	if c := e.Container; c != nil {
		o.key("container")
		o.open()
		o.optStr("id", c.ID)
		o.optStr("name", c.Name)
		o.optStr("image", c.Image)
		o.close()
	}
	o.optStrs("tags", e.Tags)
	if g := e.Gap; g != nil {
		o.key("gap")
		o.open()
		o.num("from", g.From)
		o.num("to", g.To)
		o.str("reason", g.Reason)
		o.close()
	}
	if p := e.Origin; p != nil {
		o.key("origin")
		o.open()
		o.str("file", p.File)
		o.str("generation", p.Generation)
		o.num("offset", p.Offset)
		o.close()
	}
	if l := e.Line; l != nil {
		o.key("line")
		o.open()
		o.str("reason", l.Reason)
		o.num("length", l.Length)
		o.optStr("text", l.Text)
		o.optStr("base64", l.Base64)
		o.close()
	}
	o.optStr("raw_sha256", e.RawSHA256)
	if len(e.Raw) > 0 {
		o.key("raw")
		o.b = append(o.b, e.Raw...)
	}
	o.close()
	return o.b
}

// object appends the members of JSON objects. A comma is due before every
// member but the first of its object, which stands right behind the brace.
type object struct{ b []byte }

func (o *object) open()  { o.b = append(o.b, '{') }
func (o *object) close() { o.b = append(o.b, '}') }

func (o *object) key(name string) {
	if o.b[len(o.b)-1] != '{' {
		o.b = append(o.b, ',')
	}
	o.b = append(o.b, '"')
	o.b = append(o.b, name...)
	o.b = append(o.b, '"', ':')
}

func (o *object) str(name, v string) {
	o.key(name)
	o.b = appendString(o.b, v)
}

func (o *object) optStr(name, v string) {
	if v != "" {
		o.str(name, v)
	}
}

func (o *object) num(name string, v int64) {
	o.key(name)
	o.b = strconv.AppendInt(o.b, v, 10)
}

func (o *object) optNum(name string, v int64) {
	if v != 0 {
		o.num(name, v)
	}
}

func (o *object) time(name string, v time.Time) {
	o.key(name)
	o.b = append(o.b, '"')
	o.b = v.UTC().AppendFormat(o.b, time.RFC3339Nano)
	o.b = append(o.b, '"')
}

func (o *object) optStrs(name string, v []string) {
	if len(v) == 0 {
		return
	}
	o.key(name)
	o.b = append(o.b, '[')
	for i, s := range v {
		if i > 0 {
			o.b = append(o.b, ',')
		}
		o.b = appendString(o.b, s)
	}
	o.b = append(o.b, ']')
}

func (o *object) endpoint(name string, p *Endpoint) {
	if p == nil {
		return
	}
	o.key(name)
	o.open()
	o.optStr("ip", p.IP)
	o.optNum("port", int64(p.Port))
	o.optStr("hostname", p.Hostname)
	o.optStr("path", p.Path)
	o.close()
}

const hexDigits = "0123456789abcdef"

// appendString appends s as a JSON string.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c < 0x7f && c != '"' && c != '\\' {
			i++
			continue
		}
		size := 1
		var r rune
		if c >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(s[i:])
			if r != utf8.RuneError && r > 0x9f {
				i += size
				continue
			}
		}
		b = append(b, s[start:i]...)
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, '\\', 'n')
		case c == '\r':
			b = append(b, '\\', 'r')
		case c == '\t':
			b = append(b, '\\', 't')
		case c < utf8.RuneSelf:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
		case r == utf8.RuneError:
			b = append(b, "\ufffd"...)
		default: // C1
			b = append(b, '\\', 'u', '0', '0', hexDigits[r>>4], hexDigits[r&0xf])
		}
		i += size
		start = i
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}
