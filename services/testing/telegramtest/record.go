package telegramtest

import (
	"encoding/json"
	"slices"
	"time"
)

// Bounds of what a [Server] remembers; the oldest goes first.
const (
	maxMessages = 20_000
	maxRequests = 200_000
)

// Message is a message that was accepted, whether or not the answer arrived.
type Message struct {
	ID        int64           `json:"message_id"`
	Chat      int64           `json:"chat"`
	Thread    int64           `json:"thread,omitempty"`
	Time      time.Time       `json:"time"`
	Text      string          `json:"text"`
	Entities  []Entity        `json:"entities,omitempty"`
	Silent    bool            `json:"silent,omitempty"`
	NoPreview bool            `json:"no_preview,omitempty"`
	Markup    json.RawMessage `json:"reply_markup,omitempty"`
	Edits     int             `json:"edits,omitempty"`
	Links     []string        `json:"links,omitempty"` // what Telegram would make clickable
	Request   int64           `json:"request"`         // the serial of the request that sent it
}

// Request is one request to a method, accepted or not.
type Request struct {
	Serial    int64     `json:"serial"` // in order of arrival, from 1
	Time      time.Time `json:"time"`   // of arrival
	Method    string    `json:"method"`
	Chat      string    `json:"chat,omitempty"` // chat_id as it was given
	Status    int       `json:"status"`         // of the answer; 0 if there was none
	Fault     string    `json:"fault,omitempty"`
	MessageID int64     `json:"message_id,omitempty"` // of what was accepted
}

// record is what has happened.
type record struct {
	messages []*Message
	requests []Request
}

func (r *record) addMessage(m Message) {
	if len(r.messages) == maxMessages {
		r.messages = append(r.messages[:0], r.messages[maxMessages/10:]...)
	}
	r.messages = append(r.messages, &m)
}

func (r *record) addRequest(q Request) {
	if len(r.requests) == maxRequests {
		r.requests = append(r.requests[:0], r.requests[maxRequests/10:]...)
	}
	r.requests = append(r.requests, q)
}

func (r *record) message(chat, id int64) *Message {
	for _, m := range slices.Backward(r.messages) {
		if m.ID == id && m.Chat == chat {
			return m
		}
	}
	return nil
}

// Messages returns what was accepted, oldest first: at least the latest 18,000.
func (s *Server) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Message, len(s.record.messages))
	for i, m := range s.record.messages {
		all[i] = *m
	}
	return all
}

// Requests returns the requests that have been answered or broken off, in order
// of arrival: at least the latest 180,000.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	all := slices.Clone(s.record.requests)
	s.mu.Unlock()
	slices.SortFunc(all, func(a, b Request) int { return int(a.Serial - b.Serial) })
	return all
}

// object is the message as the Bot API shows it.
func (m Message) object(c *chat) map[string]any {
	o := map[string]any{"message_id": m.ID, "date": m.Time.Unix(), "chat": c.object(), "text": m.Text}
	if len(m.Entities) > 0 {
		o["entities"] = m.Entities
	}
	if m.Thread != 0 {
		o["message_thread_id"], o["is_topic_message"] = m.Thread, true
	}
	if m.Markup != nil {
		o["reply_markup"] = m.Markup
	}
	return o
}
