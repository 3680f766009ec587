package telegramtest

import (
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// maxText is Telegram's limit, in code points.
// https://core.telegram.org/bots/api#sendmessage
const maxText = 4096

// deliver carries out a method that sends or edits, unless the fault says that it
// is not, and answers unless the fault says otherwise.
func (x *exchange) deliver(carryOut func(params, *exchange) *answer) {
	f := x.fault
	if f.answers() && !f.accepts {
		x.answerFault()
		return
	}
	x.server.mu.Lock()
	a := carryOut(x.params, x)
	x.server.mu.Unlock()
	x.request.MessageID = a.messageID
	switch {
	case !a.OK || !f.accepts:
		x.answer(a)
	case f.answers():
		x.answerFault()
	case f.torn:
		x.answerHalf(a)
	default:
		x.breakOff()
	}
}

func (s *Server) sendMessage(p params, x *exchange) *answer {
	c, bad := s.writable(p)
	if bad != nil {
		return bad
	}
	if wait := s.flood.wait(c, x.request.Time); wait > 0 && !s.cfg.Unlimited {
		return tooMany(wait)
	}
	m, bad := compose(p)
	if bad != nil {
		return bad
	}
	s.flood.note(c, x.request.Time)
	s.lastID++
	m.ID, m.Chat, m.Time = s.lastID, c.ID, x.request.Time
	m.Thread, m.Silent = p.number("message_thread_id"), p.flag("disable_notification")
	m.Request = x.request.Serial
	s.record.addMessage(m)
	s.show(m)
	a := success(m.object(c))
	a.messageID = m.ID
	return a
}

func (s *Server) editMessageText(p params, _ *exchange) *answer {
	c, bad := s.writable(p)
	if bad != nil {
		return bad
	}
	old := s.record.message(c.ID, p.number("message_id"))
	if old == nil {
		return badRequest("message to edit not found")
	}
	m, bad := compose(p)
	switch {
	case bad != nil:
		return bad
	case m.Text == old.Text && same(m.Entities, old.Entities) && string(m.Markup) == string(old.Markup):
		return badRequest("message is not modified: specified new message content and reply markup are exactly the same as a current content and reply markup of the message")
	}
	old.Text, old.Entities, old.Links, old.Markup = m.Text, m.Entities, m.Links, m.Markup
	old.Edits++
	s.show(*old)
	a := success(old.object(c))
	a.messageID = old.ID
	return a
}

// editMessageReplyMarkup changes what is below a message.
func (s *Server) editMessageReplyMarkup(p params, _ *exchange) *answer {
	c, bad := s.writable(p)
	if bad != nil {
		return bad
	}
	old := s.record.message(c.ID, p.number("message_id"))
	if old == nil {
		return badRequest("message to edit not found")
	}
	var markup json.RawMessage
	if err := p.object("reply_markup", &markup); err != nil {
		return badRequest("can't parse reply keyboard markup JSON object")
	}
	if string(markup) == string(old.Markup) {
		return badRequest("message is not modified: specified new message content and reply markup are exactly the same as a current content and reply markup of the message")
	}
	old.Markup = markup
	old.Edits++
	a := success(old.object(c))
	a.messageID = old.ID
	return a
}

func same(a, b []Entity) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// compose makes a message of the parameters, or says why it cannot.
func compose(p params) (Message, *answer) {
	m := Message{Text: p.text("text")}
	if mode := p.text("parse_mode"); mode != "" {
		return m, failure(501, "Not Implemented: this server knows no parse_mode")
	}
	if !utf8.ValidString(m.Text) {
		return m, badRequest("strings must be encoded in UTF-8")
	}
	if err := p.object("entities", &m.Entities); err != nil {
		return m, badRequest("can't parse entities: %v", err)
	}
	if strings.TrimSpace(m.Text) == "" {
		return m, badRequest("message text is empty")
	}
	if utf8.RuneCountInString(m.Text) > maxText {
		return m, badRequest("message is too long")
	}
	if err := checkEntities(m.Text, m.Entities); err != nil {
		return m, badRequest("can't parse entities: %v", err)
	}
	var options struct {
		Disabled bool `json:"is_disabled"`
	}
	if err := p.object("link_preview_options", &options); err != nil {
		return m, badRequest("can't parse link preview options JSON object")
	}
	m.NoPreview = options.Disabled
	var bad *answer
	if m.Markup, bad = markup(p); bad != nil {
		return m, bad
	}
	m.Links = links(m.Text, m.Entities)
	return m, nil
}

// markup checks the buttons of a message.
func markup(p params) (json.RawMessage, *answer) {
	raw := p.text("reply_markup")
	if raw == "" {
		return nil, nil
	}
	var keyboard struct {
		Rows [][]struct {
			Text string `json:"text"`
			Data string `json:"callback_data"`
			URL  string `json:"url"`
		} `json:"inline_keyboard"`
	}
	if err := json.Unmarshal([]byte(raw), &keyboard); err != nil {
		return nil, badRequest("can't parse reply keyboard markup JSON object")
	}
	for _, row := range keyboard.Rows {
		for _, b := range row {
			switch {
			case b.Text == "":
				return nil, badRequest("can't parse inline keyboard button: field \"text\" must be non-empty")
			case b.URL == "" && b.Data == "":
				return nil, badRequest("can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard")
			case len(b.Data) > 64:
				return nil, badRequest("BUTTON_DATA_INVALID")
			}
		}
	}
	return json.RawMessage(raw), nil
}
