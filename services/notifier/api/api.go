// Package api is what can be requested of the notifier, which alone sends to chats,
// so that their rate limits hold for all requests.
package api

import (
	"fmt"

	"github.com/openclaw-security/bus/services/internal/request"
	"github.com/openclaw-security/bus/services/internal/selection"
)

// Service is the name under which the notifier serves requests.
const Service = "notifier"

// The kinds of requests.
const (
	SendTest   request.Kind[Test, Sent]       = "test"   // a message that says that it is one
	SendReplay request.Kind[Replay, Replayed] = "replay" // stored alerts once more
	SendDead   request.Kind[Dead, Retried]    = "retry"  // dead letters once more
)

// Test is the body of a [SendTest].
type Test struct {
	Chat string `json:"chat"` // the sink's name, such as telegram-1234567
}

// Replay is the body of a [SendReplay].
type Replay struct {
	Chat      string              `json:"chat"`
	Selection selection.Selection `json:"selection"`
}

// Dead is the body of a [SendDead].
type Dead struct {
	Chat      string   `json:"chat"`
	Sequences []uint64 `json:"sequences"` // in SECURITY_DEAD
}

// Sent is the result of a [SendTest], and a part of the other results: the message
// that was sent.
type Sent struct {
	Chat      string `json:"chat,omitempty"`       // its id, as the chat's server says
	MessageID string `json:"message_id,omitempty"` // as the chat's server says
	// Before says that an earlier process has sent it, which leaves the others empty.
	Before bool `json:"before,omitempty"`
}

// String says it in words.
func (s Sent) String() string { return s.of("a test message") }

func (s Sent) of(content string) string {
	if s.Before {
		return content + " had been sent before"
	}
	return fmt.Sprintf("sent %s as message %s of chat %s", content, s.MessageID, s.Chat)
}

// Replayed is the result of a [SendReplay].
type Replayed struct {
	Alerts int  `json:"alerts"` // 0: no message was sent
	Sent   Sent `json:"sent,omitzero"`
}

// String says it in words.
func (r Replayed) String() string {
	if r.Alerts == 0 {
		return "there is nothing to send"
	}
	return r.Sent.of(fmt.Sprintf("%d alerts", r.Alerts))
}

// Retried is the result of a [SendDead]. The message names the letters that it does
// not show.
type Retried struct {
	Shown      []uint64 `json:"shown,omitempty"`      // sequences of letters that are in the message as alerts
	Unreadable []uint64 `json:"unreadable,omitempty"` // that are no events
	Gone       []uint64 `json:"gone,omitempty"`       // that are not stored any more
	Sent       Sent     `json:"sent,omitzero"`        // none if no letter was named
}

// String says it in words.
func (r Retried) String() string {
	all := len(r.Shown) + len(r.Unreadable) + len(r.Gone)
	if all == 0 {
		return "there is nothing to send"
	}
	text := r.Sent.of(fmt.Sprintf("%d dead letters", all))
	if len(r.Unreadable) > 0 {
		text += fmt.Sprintf("; %d are no events", len(r.Unreadable))
	}
	if len(r.Gone) > 0 {
		text += fmt.Sprintf("; %d are gone", len(r.Gone))
	}
	return text
}
