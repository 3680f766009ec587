package telegram

import (
	"encoding/json"
	"fmt"
	"unicode/utf16"

	"github.com/openclaw-security/bus/services/notifier/internal/message"
	"github.com/openclaw-security/bus/services/notifier/internal/sink"
)

// Max UTF-16 code units of a message, without repeatLine. Telegram's limit is 4096
// code points, of which there are no more:
// https://core.telegram.org/bots/api#sendmessage
const (
	maxUnits   = 4096 - len(repeatLine)
	shortUnits = 2500
)

// maxEntities is how many entities Telegram honours in a message; it ignores
// the rest. https://limits.tginfo.me/en
const maxEntities = 100

// styles are the Bot API's names of what a part of a text can look like.
var styles = [...]string{message.Bold: "bold", message.Code: "code", message.Quote: "expandable_blockquote"}

// Render writes the message about b of one of the levels of package message.
func (c *Chat) Render(b sink.Batch, level int) (sink.Message, bool) {
	t, ok := c.format().Write(b, message.Level(level))
	if !ok {
		return nil, false
	}
	s := stored{Text: t.String(), Entities: entities(t), Silent: b.Silent, Level: level}
	if level == int(message.Full) {
		s.Markup = c.markup(b)
	}
	m, err := json.Marshal(s)
	if err != nil {
		// Strings and numbers: encoding cannot fail.
		panic(fmt.Sprintf("encoding a message: %v", err))
	}
	return m, true
}

func (c *Chat) format() message.Format {
	return message.Format{Zone: c.cfg.Zone, Units: utf16.RuneLen, Limit: maxUnits, Short: shortUnits}
}

// entities says by offsets how parts of t look, so that no character of it has a
// meaning.
func entities(t *message.Text) []entity {
	var all []entity
	offset := 0
	for _, span := range t.Spans {
		n := 0
		for _, r := range span.Text {
			n += utf16.RuneLen(r) // never -1: ranging yields no surrogates
		}
		if span.Style != message.Plain && len(all) < maxEntities {
			all = append(all, entity{Type: styles[span.Style], Offset: offset, Length: n})
		}
		offset += n
	}
	return all
}

// markup is the buttons below a message about b; a button that Telegram would
// refuse is left out, since it would take the message with it.
func (c *Chat) markup(b sink.Batch) *replyMarkup {
	if c.cfg.Buttons == nil {
		return nil
	}
	var rows [][]button
	for _, row := range c.cfg.Buttons(b) {
		var kept []button
		for _, b := range row {
			if text := c.format().Line(b.Text, 40); text != "" && b.Data != "" && len(b.Data) <= 64 {
				kept = append(kept, button{Text: text, Data: b.Data})
			}
		}
		if len(kept) > 0 {
			rows = append(rows, kept)
		}
	}
	if len(rows) == 0 {
		return nil
	}
	return &replyMarkup{Keyboard: rows}
}
