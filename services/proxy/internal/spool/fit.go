package spool

import (
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/openclaw-security/bus/proto"
)

// maxShort is the length in bytes to which the words of a record are cut that
// would be too large without its texts: with 500 tool calls and 128 finish
// reasons, and six bytes of JSON for each of theirs, it still has room.
const maxShort = 40

// noteRoom is how many bytes of JSON a note about what was left out can take.
const noteRoom = 128

// encodeAudit is the JSON of a, at most MaxRecord bytes of it. What the model and
// the client have chosen can take six bytes for each of its own ("<" is
// "\u003c"), so that what has been bounded before can still be too large. Then
// detail is left out, and marked, rather than the record: of the texts as much
// as necessary, and if that is not enough the ends of words.
func encodeAudit(a *proto.Audit) ([]byte, error) {
	payload, err := json.Marshal(a)
	if err != nil || len(payload) <= MaxRecord {
		return payload, err
	}
	short := *a
	short.Prompt, short.Answer = nil, ""
	if payload, err = json.Marshal(&short); err == nil && len(payload) > MaxRecord-4*noteRoom {
		shortenWords(&short)
		payload, err = json.Marshal(&short)
	}
	if err != nil {
		return nil, err
	}
	// Keys, brackets and commas count as notes.
	room := max(0, MaxRecord-len(payload)-4*noteRoom)
	short.Prompt = fitPrompt(a.Prompt, room-min(room/2, encodedSize(a.Answer)))
	short.Answer = fitText(a.Answer, room-encodedSize(short.Prompt))
	return json.Marshal(&short)
}

func shortenWords(a *proto.Audit) {
	cut := func(s string) string {
		if len(s) <= maxShort {
			return s
		}
		return strings.ToValidUTF8(s[:maxShort], "") + "…"
	}
	a.FinishReasons, a.ToolCalls, a.Findings = slices.Clone(a.FinishReasons), slices.Clone(a.ToolCalls), slices.Clone(a.Findings)
	for i := range a.Findings {
		a.Findings[i].Detail = cut(a.Findings[i].Detail)
	}
	for i := range a.FinishReasons {
		a.FinishReasons[i] = cut(a.FinishReasons[i])
	}
	for i := range a.ToolCalls {
		a.ToolCalls[i].Name, a.ToolCalls[i].ID = cut(a.ToolCalls[i].Name), cut(a.ToolCalls[i].ID)
	}
}

// fitPrompt keeps the newest texts, which come last.
func fitPrompt(prompt []proto.Message, room int) []proto.Message {
	for i, m := range slices.Backward(prompt) {
		size := encodedSize(m) + 1
		if size <= room {
			room -= size
			continue
		}
		m.Text = fitText(m.Text, room-encodedSize(proto.Message{Role: m.Role}))
		note := proto.Message{Role: "other", Text: fmt.Sprintf("(%d earlier texts left out)", i)}
		return append([]proto.Message{note, m}, prompt[i+1:]...)
	}
	return prompt
}

// fitText cuts text to what takes at most room bytes of JSON, not counting the
// note on what was cut.
func fitText(text string, room int) string {
	if encodedSize(text) <= room {
		return text
	}
	kept := max(0, sort.Search(len(text), func(n int) bool { return encodedSize(text[:n]) > room })-1)
	start := strings.ToValidUTF8(text[:kept], "")
	return fmt.Sprintf("%s… (%d bytes left out)", start, len(text)-len(start))
}

// encodedSize is how many bytes of JSON v, which has no maps or numbers, takes.
func encodedSize(v any) int {
	b, err := json.Marshal(v)
	if err != nil { // strings always can be encoded
		return MaxRecord
	}
	return len(b)
}
