// Package sink says what the notifier needs of a place to deliver to.
//
// There are two sorts. A [Sink] accepts every alert by itself, as fast as it can:
// standard output, a webhook. A [Chat] accepts messages for people to read, few in
// a minute: what is over is folded into a digest (package delivery). Package message
// writes them; a chat turns them into its own markup and sends them.
//
// Each kind of sink is a package of its own, with its settings, and declares itself
// by a [Spec].
package sink

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/check"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/notifier/internal/digest"
)

// Sink is where alerts are delivered one by one.
type Sink interface {
	// Name is the sink's name in logs and metrics, a subject token.
	Name() string
	// Deliver hands over one alert and returns nil only when it has been accepted
	// for good; the alert is acknowledged after that. Any error means that it was
	// not, or not for sure: Deliver is called again with the same alert unless
	// the error is an [*Error] of class [Refused]. repeated says that it may have
	// been delivered before.
	Deliver(ctx context.Context, e *proto.Event, payload []byte, repeated bool) error
}

// Chat is where messages for people are sent.
type Chat interface {
	// Name is the sink's name, a subject token. It decides the sink's durables, so
	// it stays the same as long as the chat does.
	Name() string
	// Address is where the chat is by the settings. When it changes, what was
	// learnt about the former one ([Place]) is forgotten.
	Address() string
	// Limits bound how often Send is called.
	Limits() Limits
	// Render writes a message about a batch. Level 0 is the fullest form; a chat
	// that has refused one is given the next. ok is false if there is no such
	// level. Equal batches give equal messages.
	Render(b Batch, level int) (m Message, ok bool)
	// Send makes one attempt to send m to where, and waits for the response.
	// mayRepeat says that m may have been accepted before; the message says so.
	// The error is an [*Error] unless ctx has ended.
	Send(ctx context.Context, m Message, where Place, mayRepeat bool) (Receipt, error)
	// Probe finds out whether the chat would accept a message, without sending one.
	Probe(ctx context.Context, where Place) error
}

// Limits bound the requests to a chat, failed ones included.
type Limits struct {
	PerMinute int           // in any 60 seconds
	Gap       time.Duration // between two
}

// Place is where in the chat's service a message goes. What is empty is the
// chat's own setting; the rest was learnt from responses ([Moved], [NoThread]).
type Place struct {
	Chat     string `json:"chat,omitempty"`
	NoThread bool   `json:"no_thread,omitempty"` // the configured topic is gone
}

// Message is a rendered message, in the chat's own form. It is stored before it
// is sent: after a crash the same bytes are sent again.
type Message = json.RawMessage

// Receipt is what the chat's server said to a message that it accepted.
type Receipt struct {
	Chat      string // the chat's id
	MessageID string
}

// Batch is what one message is about.
type Batch struct {
	Kind proto.DeliveryKind
	// Alerts are shown each by itself, in this order, repeated ones folded.
	Alerts []Alert
	// Digest, if set, counts all alerts of the batch; Alerts is empty then.
	Digest *digest.Digest
	// Text is the body of a report or a notice.
	Text string
	// Notices are lines about the delivery itself: what was evicted before it
	// could be delivered, given up, or sent somewhere else meanwhile.
	Notices []string
	// Silent asks for delivery without a sound.
	Silent bool
	// First and Last are the stored times of the alerts, for the replay command.
	First, Last time.Time
}

// Alert is one alert, or several that say the same.
type Alert struct {
	Event *proto.Event
	Count int // 1 or more
}

// Spec declares a kind of sink. The notifier has one table of them.
type Spec struct {
	// Title is the heading of its settings in docs/configuration.md.
	Title string
	// Settings returns its settings: a pointer to a struct that package config
	// fills and documents.
	Settings func() Settings
}

// Settings say which sinks of a kind there are.
type Settings interface {
	// Open returns the sinks that are configured, none if the kind is not used. It
	// makes no request. The settings are valid by their Validate method.
	Open(Shared) (Opened, error)
}

// Shared is what sinks of all kinds are given.
type Shared struct {
	PerMinute int            // messages to one chat in any 60 seconds, at most
	Zone      *time.Location // of the reader
	Now       func() time.Time
	Log       *slog.Logger
	// Buttons are the buttons below a message about b, for a chat that has some.
	Buttons func(b Batch) [][]Button
	// OtherBots are tokens of other programs' bots, such as OpenClaw's own, for a
	// [Checker] to find out that a bot is not used by others too.
	OtherBots []config.Secret
}

// Opened are the sinks of a kind that are configured.
type Opened struct {
	Chats []Chat
	Sinks []Sink
	// Presses, if set, calls press for each button below a message of the chats that
	// is pressed by somebody who may, until ctx is done. It returns nil when
	// buttons do not work, after it has logged why: sending goes on.
	Presses func(ctx context.Context, press func(context.Context, Press) Response) error
}

// Button is a button below a message. Data comes back in a [Press]: 1 to 64 bytes.
type Button struct{ Text, Data string }

// Press is a button that was pressed.
type Press struct {
	ID   string // is different for every press
	Data string // of the button
	By   string // who has pressed it
}

// Response is what a press has led to.
type Response struct {
	Text          string // for the person who has pressed
	RemoveButtons bool   // from below the message
}

// Checker is implemented by a sink or a chat that can check its settings.
type Checker interface {
	// Check checks everything that delivery depends on, without sending anything
	// that stays. The findings' hop is the sink's name.
	Check(ctx context.Context) []check.Finding
}

// Class says what a failed attempt means for the message.
type Class uint8

// The classes.
const (
	// NotSent: the message was not accepted; send it again, not before
	// RetryAfter has passed if that is set.
	NotSent Class = iota
	// Ambiguous: it is unknown whether it was accepted; send it again, marked.
	Ambiguous
	// Refused: it will never be accepted in this form.
	Refused
	// Unclear: refused, and it is unknown whether for its form or because the sink
	// cannot send anything.
	Unclear
	// Moved: the chat has a new id, MovedTo; send it there.
	Moved
	// NoThread: the topic is gone or closed; send it to the chat without.
	NoThread
	// Broken: the sink cannot send anything until somebody changes something:
	// the token, the chat, the bot's rights.
	Broken
)

// String is the class's name in logs and metrics.
func (c Class) String() string {
	names := [...]string{"not_sent", "ambiguous", "refused", "unclear", "moved", "no_thread", "broken"}
	if int(c) < len(names) {
		return names[c]
	}
	return fmt.Sprintf("Class(%d)", uint8(c))
}

// Error is a failed attempt to send.
type Error struct {
	Class      Class
	RetryAfter time.Duration // how long the server wants to be left alone; 0 if it does not say
	MovedTo    string        // for Moved
	Err        error         // what happened, without any secret
}

// Error says what happened.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }
