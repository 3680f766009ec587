package normalize

import (
	"fmt"
	"unicode/utf8"

	"github.com/openclaw-security/bus/proto"
)

// Bounds of an event that does not fit a message even without Raw: an event is
// cut by the first, and again by half of them, until it fits.
const (
	clipString = 256 // bytes of a string
	clipList   = 16  // elements of a list
	minClip    = 16  // bytes of a string: with these any event fits
)

// MaxRecord bounds the JSON form of an event, in bytes: what one record takes of its
// stream's room and of the server's memory does not depend on what an attacker makes a
// sensor write.
const MaxRecord = 64 << 10

// Oversize makes an event whose JSON form is longer than limit bytes fit: the
// normalized fields stay, and Line with the record's first 16 KiB takes the
// place of Raw, whose hash is kept. Only if that is not enough, long strings and
// lists are cut too, and the event is tagged.
// The limit must be at least [MaxRecord].
func (*Normalizer) Oversize(e *proto.Event, limit int) {
	if len(e.Raw) > 0 {
		reason := fmt.Sprintf("the event does not fit a message of %d bytes", limit)
		if e.RawSHA256 == "" {
			e.RawSHA256 = sha256Of(e.Raw)
		}
		e.Line = line(e.Raw, int64(len(e.Raw)), reason, maxUnparsed)
		e.Raw = nil
	}
	for size := clipString; size >= minClip && len(e.AppendJSON(nil)) > limit; size /= 2 {
		clip(e, size)
		addTag(e, TagClipped)
	}
}

// clip cuts every string that a sensor's record can make long to size bytes, and Line
// in proportion.
func clip(e *proto.Event, size int) {
	clipStrings(size, &e.Host, &e.Source, &e.Kind, &e.Title, &e.Action)
	if r := e.Rule; r != nil {
		clipStrings(size, &r.ID, &r.Name, &r.Category)
	}
	e.MITRE = e.MITRE[:min(len(e.MITRE), clipList)]
	for i := range e.MITRE {
		t := &e.MITRE[i]
		clipStrings(size, &t.TacticID, &t.Tactic, &t.ID, &t.Name)
	}
	for _, p := range []*proto.Endpoint{e.Src, e.Dst} {
		if p != nil {
			clipStrings(size, &p.IP, &p.Hostname, &p.Path)
		}
	}
	if n := e.Network; n != nil {
		clipStrings(size, &n.Transport, &n.AppProtocol, &n.Direction, &n.CommunityID, &n.FlowID, &n.State)
	}
	if d := e.DNS; d != nil {
		clipStrings(size, &d.Type, &d.RRType, &d.RCode)
		d.Names, d.Answers = clipped(d.Names, size), clipped(d.Answers, size)
	}
	if h := e.HTTP; h != nil {
		clipStrings(size, &h.Method, &h.Hostname, &h.Path, &h.UserAgent, &h.ContentType)
	}
	if t := e.TLS; t != nil {
		clipStrings(size, &t.SNI, &t.Version, &t.JA3, &t.JA3S, &t.JA4, &t.Subject, &t.Issuer)
	}
	if f := e.File; f != nil {
		clipStrings(size, &f.Path, &f.Access, &f.SHA256, &f.Type)
	}
	if p := e.Process; p != nil {
		clipStrings(size, &p.Name, &p.Executable)
		p.Args = clipped(p.Args, size)
	}
	if c := e.Container; c != nil {
		clipStrings(size, &c.ID, &c.Name, &c.Image)
	}
	e.Tags = clipped(e.Tags, size)
	if l := e.Line; l != nil {
		kept := maxUnparsed / clipString * size
		clipStrings(size, &l.Reason)
		clipStrings(kept, &l.Text)
		// Of a line with malformed UTF-8, four times as much may have been kept.
		l.Base64 = l.Base64[:min(len(l.Base64), kept/3*4)]
	}
}

func clipped(list []string, size int) []string {
	list = list[:min(len(list), clipList)]
	for i := range list {
		clipStrings(size, &list[i])
	}
	return list
}

// clipStrings cuts strings to size bytes, never within a character.
func clipStrings(size int, strings ...*string) {
	for _, s := range strings {
		if len(*s) <= size {
			continue
		}
		end := size
		for end > 0 && !utf8.RuneStart((*s)[end]) {
			end--
		}
		*s = (*s)[:end]
	}
}
