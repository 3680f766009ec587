package normalize

import (
	"fmt"
	"unicode/utf8"

	"github.com/openclaw-security/bus/proto"
)

// Bounds of an event that does not fit a message even without Raw.
const (
	clipString = 256 // bytes of a string
	clipList   = 16  // elements of a list
)

// MinLimit is the smallest message size that [Oversize] is made for: an event
// cut by it is never longer, whatever its strings hold.
const MinLimit = 512 << 10

// Oversize makes an event whose JSON form is longer than limit bytes fit: the
// normalized fields stay, and Line with the record's first 16 KiB takes the
// place of Raw. Only if that is not enough, long strings and lists are cut
// too, and the event is tagged.
// The limit must be at least [MinLimit].
func Oversize(e *proto.Event, limit int) {
	if len(e.Raw) > 0 {
		reason := fmt.Sprintf("the event does not fit a message of %d bytes", limit)
		e.Line = line(e.Raw, int64(len(e.Raw)), reason, maxUnparsed)
		e.Raw = nil
	}
	if len(e.AppendJSON(nil)) > limit {
		clip(e)
		addTag(e, TagClipped)
	}
}

// clip cuts every string that a sensor's record can make long.
func clip(e *proto.Event) {
	clipStrings(&e.Host, &e.Source, &e.Kind, &e.Title, &e.Action)
	if r := e.Rule; r != nil {
		clipStrings(&r.ID, &r.Name, &r.Category)
	}
	e.MITRE = e.MITRE[:min(len(e.MITRE), clipList)]
	for i := range e.MITRE {
		t := &e.MITRE[i]
		clipStrings(&t.TacticID, &t.Tactic, &t.ID, &t.Name)
	}
	for _, p := range []*proto.Endpoint{e.Src, e.Dst} {
		if p != nil {
			clipStrings(&p.IP, &p.Hostname, &p.Path)
		}
	}
	if n := e.Network; n != nil {
		clipStrings(&n.Transport, &n.AppProtocol, &n.Direction, &n.CommunityID, &n.FlowID, &n.State)
	}
	if d := e.DNS; d != nil {
		clipStrings(&d.Type, &d.RRType, &d.RCode)
		d.Names, d.Answers = clipped(d.Names), clipped(d.Answers)
	}
	if h := e.HTTP; h != nil {
		clipStrings(&h.Method, &h.Hostname, &h.Path, &h.UserAgent, &h.ContentType)
	}
	if t := e.TLS; t != nil {
		clipStrings(&t.SNI, &t.Version, &t.JA3, &t.JA3S, &t.JA4, &t.Subject, &t.Issuer)
	}
	if f := e.File; f != nil {
		clipStrings(&f.Path, &f.SHA256, &f.Type)
	}
	if p := e.Process; p != nil {
		clipStrings(&p.Name, &p.Executable)
		p.Args = clipped(p.Args)
	}
	if c := e.Container; c != nil {
		clipStrings(&c.ID, &c.Name, &c.Image)
	}
	e.Tags = clipped(e.Tags)
	if e.Line != nil {
		// Of a line with malformed UTF-8, four times as much may have been kept.
		e.Line.Base64 = e.Line.Base64[:min(len(e.Line.Base64), maxUnparsed/3*4)]
	}
}

func clipped(list []string) []string {
	list = list[:min(len(list), clipList)]
	for i := range list {
		clipStrings(&list[i])
	}
	return list
}

// clipStrings cuts strings to clipString bytes, never within a character.
func clipStrings(strings ...*string) {
	for _, s := range strings {
		if len(*s) <= clipString {
			continue
		}
		end := clipString
		for end > 0 && !utf8.RuneStart((*s)[end]) {
			end--
		}
		*s = (*s)[:end]
	}
}
