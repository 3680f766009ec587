package telegramtest

import (
	"strconv"
	"strings"
)

// chat is the state of one chat.
type chat struct {
	Chat
	movedTo int64
	blocked bool
	muted   bool
	topics  map[int64]bool // whether a topic is open
}

func newChat(c Chat) *chat {
	topics := make(map[int64]bool)
	for _, t := range c.Topics {
		topics[t] = true
	}
	return &chat{Chat: c, topics: topics}
}

func (c *chat) object() map[string]any {
	o := map[string]any{"id": c.ID, "type": c.Type}
	if c.Type == "private" {
		o["first_name"] = c.Title
	} else {
		o["title"] = c.Title
	}
	if c.Username != "" {
		o["username"] = c.Username
	}
	if len(c.Topics) > 0 {
		o["is_forum"] = true
	}
	return o
}

// find returns the chat of a chat_id, or the error that it makes.
func (s *Server) find(id string) (*chat, *answer) {
	if id == "" {
		return nil, badRequest("chat_id is empty")
	}
	n, err := strconv.ParseInt(id, 10, 64)
	for _, c := range s.chats {
		if err == nil && c.ID == n || c.Username != "" && strings.EqualFold("@"+c.Username, id) {
			return c, nil
		}
	}
	return nil, badRequest("chat not found")
}

// writable returns the chat that a message to it would reach, or why none does.
func (s *Server) writable(p params) (*chat, *answer) {
	c, bad := s.find(p.text("chat_id"))
	switch {
	case bad != nil:
		return nil, bad
	case c.movedTo != 0:
		a := badRequest("group chat was upgraded to a supergroup chat")
		a.Parameters = map[string]any{"migrate_to_chat_id": c.movedTo}
		return nil, a
	case c.blocked && c.Type == "private":
		return nil, failure(403, "Forbidden: bot was blocked by the user")
	case c.blocked:
		return nil, failure(403, "Forbidden: bot was kicked from the "+c.Type+" chat")
	case c.muted && c.Type == "channel":
		return nil, badRequest("need administrator rights in the channel chat")
	case c.muted:
		return nil, badRequest("not enough rights to send text messages to the chat")
	}
	if topic := p.number("message_thread_id"); topic != 0 {
		open, there := c.topics[topic]
		if !there {
			return nil, badRequest("message thread not found")
		}
		if !open {
			return nil, badRequest("TOPIC_CLOSED")
		}
	}
	return c, nil
}

func (s *Server) getChat(p params) *answer {
	c, bad := s.find(p.text("chat_id"))
	switch {
	case bad != nil:
		return bad
	case c.blocked && c.Type != "private":
		return failure(403, "Forbidden: bot was kicked from the "+c.Type+" chat")
	}
	o := c.object()
	if c.Type == "group" || c.Type == "supergroup" {
		o["permissions"] = map[string]any{"can_send_messages": true}
	}
	return success(o)
}

func (s *Server) getChatMember(p params) *answer {
	c, bad := s.find(p.text("chat_id"))
	switch {
	case bad != nil:
		return bad
	case p.number("user_id") != s.botID:
		return badRequest("PARTICIPANT_ID_INVALID")
	case c.blocked && c.Type != "private":
		return failure(403, "Forbidden: bot was kicked from the "+c.Type+" chat")
	}
	m := map[string]any{"user": s.me(), "status": "member"}
	switch {
	case c.Type == "channel":
		m["status"], m["can_post_messages"] = "administrator", !c.muted
	case c.muted:
		m["status"], m["can_send_messages"] = "restricted", false
	}
	return success(m)
}

func (s *Server) sendChatAction(p params) *answer {
	c, bad := s.writable(p)
	switch {
	case bad != nil:
		return bad
	case c.Type == "channel":
		return badRequest("chat actions can't be sent to channels")
	case p.text("action") != "typing":
		return badRequest("wrong parameter action in request")
	}
	return success(true)
}
