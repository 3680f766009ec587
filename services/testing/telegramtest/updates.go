package telegramtest

import (
	"fmt"
	"strconv"
	"time"
)

// maxUpdates is how many button presses wait to be asked for.
const maxUpdates = 1000

// longestPoll is as long as Telegram makes a client wait.
const longestPoll = 50 * time.Second

// updates are what getUpdates gives.
type updates struct {
	pending  []map[string]any
	lastID   int64
	answered map[string]string // what was shown to who pressed, by the press
	poller   chan struct{}     // closed when another poller comes; nil if there is none
	changed  chan struct{}     // closed when there is a new update
}

// Press has somebody press a button of an accepted message and returns the id of
// the press.
func (s *Server) Press(messageID int64, data string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.record.messages {
		if m.ID != messageID {
			continue
		}
		u := &s.updates
		if len(u.pending) == maxUpdates {
			return "", fmt.Errorf("%d updates are waiting already", maxUpdates)
		}
		u.lastID++
		id := strconv.FormatInt(u.lastID+4_000_000, 10)
		u.pending = append(u.pending, map[string]any{
			"update_id": u.lastID,
			"callback_query": map[string]any{
				"id":            id,
				"from":          map[string]any{"id": PrivateID, "is_bot": false, "first_name": "Owner", "username": "owner"},
				"message":       m.object(s.chats[m.Chat]),
				"chat_instance": "1",
				"data":          data,
			},
		})
		close(u.changed)
		u.changed = make(chan struct{})
		return id, nil
	}
	return "", fmt.Errorf("no message %d", messageID)
}

// Answered returns what was shown to the user who pressed, and whether the
// press was answered.
func (s *Server) Answered(pressID string) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text, ok := s.updates.answered[pressID]
	return text, ok
}

func (s *Server) answerCallbackQuery(p params) *answer {
	id := p.text("callback_query_id")
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil || n <= 4_000_000 || n > s.updates.lastID+4_000_000 {
		return badRequest("query is too old and response timeout expired or query ID is invalid")
	}
	if len([]rune(p.text("text"))) > 200 {
		return badRequest("MESSAGE_TOO_LONG")
	}
	if s.updates.answered == nil {
		s.updates.answered = make(map[string]string)
	}
	s.updates.answered[id] = p.text("text")
	return success(true)
}

// poll answers getUpdates: at once if there is something, else when there is or
// the time is up. A second poller ends the first.
func (x *exchange) poll() {
	s := x.server
	if s.cfg.Webhook != "" {
		x.answer(failure(409, "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first"))
		return
	}
	wait := min(max(time.Duration(x.params.number("timeout"))*time.Second, 0), longestPoll)
	deadline := time.NewTimer(wait)
	defer deadline.Stop()
	ended := make(chan struct{})
	s.mu.Lock()
	if s.updates.poller != nil {
		close(s.updates.poller)
	}
	s.updates.poller = ended
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.updates.poller == ended {
			s.updates.poller = nil
		}
	}()
	for {
		s.mu.Lock()
		found, changed := s.updates.take(x.params), s.updates.changed
		s.mu.Unlock()
		if len(found) > 0 {
			x.answer(success(found))
			return
		}
		select {
		case <-changed:
		case <-deadline.C:
			x.answer(success(found))
			return
		case <-ended:
			x.answer(worded(409))
			return
		case <-x.r.Context().Done():
			x.breakOff()
		case <-s.shutdown:
			x.breakOff()
		}
	}
}

// take forgets what is before the offset and returns what comes next.
func (u *updates) take(p params) []map[string]any {
	offset := p.number("offset")
	for len(u.pending) > 0 && u.pending[0]["update_id"].(int64) < offset {
		u.pending = u.pending[1:]
	}
	limit := int(p.number("limit"))
	if limit <= 0 || limit > 100 {
		limit = 100
	}
	return append([]map[string]any{}, u.pending[:min(limit, len(u.pending))]...)
}
