// Package telegram is the [sink.Chat] that sends to a chat on Telegram, by the
// Bot API (https://core.telegram.org/bots/api).
//
//	Batch ─▶ package message ─▶ entities ─▶ Message, stored by the caller
//	                                                   │
//	Receipt or *sink.Error ◀─ classify ◀─ reply ◀─ POST ◀─ may repeat? place?
//
// # Text
//
// Messages have no parse_mode: the text is plain, and what is bold or monospaced
// is given by entities with offsets in UTF-16 code units, so that no character
// has a meaning. A message is at most 4096 UTF-16 code units long.
//
// # Requests
//
// The Bot API has no idempotency key. Whether a failed request may have been
// accepted decides what the caller does next, so each failure has a
// [sink.Class]; classify.go has the table. The token is part of the URL and is
// kept out of every error. Requests go through the proxy that HTTPS_PROXY and
// NO_PROXY name, because in some countries Telegram cannot be reached otherwise.
package telegram

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/notifier/internal/message"
	"github.com/openclaw-security/bus/services/notifier/internal/sink"
)

// DefaultAPI is Telegram's own Bot API server.
const DefaultAPI = "https://api.telegram.org"

// What Telegram bears from one bot in one chat:
// https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this
const (
	groupPerMinute = 20
	gap            = 1100 * time.Millisecond // "more than one message per second" is too much
)

// Config says which bot writes to which chat, and how.
type Config struct {
	Name  string        // the sink's name, a subject token
	Token config.Secret // of the bot, as @BotFather gives it
	Chat  string        // a numeric id, or @name of a public channel or group
	// Thread is the topic of a forum to write to; 0 or 1 is the General topic.
	Thread int64
	// PerMinute is the max number of requests in any 60 seconds, 1 or more. In anything
	// but a private chat it is at most 20.
	PerMinute int
	// API is the URL of the Bot API server; empty means [DefaultAPI].
	API string
	// Zone is the time zone of the reader; nil means UTC.
	Zone *time.Location
	// Buttons, if set, gives the buttons below a message about b. It must give
	// the same for equal batches.
	Buttons func(b sink.Batch) [][]sink.Button
	// Others are tokens of other programs' bots, such as OpenClaw's own;
	// [Chat.Check] finds out whether this is one of them.
	Others []config.Secret
}

// Chat is one chat on Telegram. It is safe for concurrent use.
type Chat struct {
	cfg     Config
	address string
	client  *client
}

var _ sink.Chat = (*Chat)(nil)

var (
	tokenPattern = regexp.MustCompile(`^[0-9]+:[A-Za-z0-9_-]+$`)
	chatPattern  = regexp.MustCompile(`^(?:-?[0-9]{1,19}|@[A-Za-z0-9_]+)$`)
)

// New returns the chat of cfg. It makes no request; the error says what is wrong
// with cfg.
func New(cfg Config) (*Chat, error) {
	if cfg.API == "" {
		cfg.API = DefaultAPI
	}
	cfg.API = strings.TrimRight(cfg.API, "/")
	address := fmt.Sprintf("%s:%d", cfg.Chat, cfg.Thread)
	if cfg.Thread == 1 {
		cfg.Thread = 0 // the General topic is not addressed by its id
	}
	if cfg.Zone == nil {
		cfg.Zone = time.UTC
	}
	// The token becomes part of a path.
	if !tokenPattern.MatchString(cfg.Token.Reveal()) {
		return nil, errors.New("the bot's token is not a number, a colon, and letters, digits, _ or -")
	}
	if !chatPattern.MatchString(cfg.Chat) {
		return nil, fmt.Errorf("chat %.100q is neither a number nor an @name", cfg.Chat)
	}
	if cfg.PerMinute < 1 {
		return nil, fmt.Errorf("%d messages per minute are fewer than 1", cfg.PerMinute)
	}
	api, err := url.Parse(cfg.API)
	if err != nil || api.Scheme != "http" && api.Scheme != "https" || api.Host == "" || api.User != nil || api.RawQuery != "" || api.Fragment != "" {
		return nil, errors.New("the URL of the Bot API server is not http:// or https:// with a host")
	}
	return &Chat{cfg: cfg, address: address, client: newClient(cfg.API, cfg.Token)}, nil
}

// Name is the sink's name.
func (c *Chat) Name() string { return c.cfg.Name }

// Address is the configured chat and topic.
func (c *Chat) Address() string { return c.address }

// Limits bound the requests: what is configured, within what Telegram bears.
func (c *Chat) Limits() sink.Limits {
	limits := sink.Limits{PerMinute: c.cfg.PerMinute, Gap: gap}
	if !private(c.cfg.Chat) {
		limits.PerMinute = min(limits.PerMinute, groupPerMinute)
	}
	return limits
}

// private reports whether the id is a person's: those of groups and channels are
// negative or names.
func private(chat string) bool { return chat[0] != '-' && chat[0] != '@' }

// stored is a rendered message: everything but where it goes.
type stored struct {
	Text     string       `json:"text"`
	Entities []entity     `json:"entities,omitempty"`
	Silent   bool         `json:"disable_notification,omitempty"`
	Markup   *replyMarkup `json:"reply_markup,omitempty"`
	Level    int          `json:"level,omitempty"`
}

// repeatLine stands above a message that may have arrived before. Rendering
// leaves room for it. It is ASCII, so that its length is its UTF-16 length.
const repeatLine = "(may repeat)\n"

// markRepeat puts repeatLine above the text.
func (s *stored) markRepeat() {
	s.Text = repeatLine + s.Text
	for i := range s.Entities {
		s.Entities[i].Offset += len(repeatLine)
	}
}

// Send makes one attempt to send m and waits for the response, 90 seconds at most:
// the server itself may hold a request for a minute, and giving up sooner makes
// repetitions. The error is always a [*sink.Error]; it wraps ctx's error if that
// was why.
func (c *Chat) Send(ctx context.Context, m sink.Message, where sink.Place, mayRepeat bool) (sink.Receipt, error) {
	var s stored
	if err := json.Unmarshal(m, &s); err != nil {
		return sink.Receipt{}, &sink.Error{Class: sink.Refused, Err: fmt.Errorf("decoding the stored message: %w", err)}
	}
	if mayRepeat {
		s.markRepeat()
	}
	params := messageParams{
		ChatID:   c.chatID(where),
		ThreadID: c.thread(where),
		Text:     s.Text,
		Entities: s.Entities,
		Preview:  noPreview,
		Silent:   s.Silent,
		Markup:   s.Markup,
	}
	var sent sentMessage
	if err := c.client.call(ctx, "sendMessage", params, &sent); err != nil {
		return sink.Receipt{}, classify(err, attempt{thread: params.ThreadID != 0, last: s.Level == int(message.LastLevel)})
	}
	receipt := sink.Receipt{Chat: params.ChatID, MessageID: strconv.FormatInt(sent.ID, 10)}
	if sent.Chat.ID != 0 {
		receipt.Chat = strconv.FormatInt(sent.Chat.ID, 10)
	}
	return receipt, nil
}

// Edit replaces the text, and the buttons, of the message that r is the receipt
// of. That it says m already is success, so an edit can be repeated freely. The
// error is a [*sink.Error].
func (c *Chat) Edit(ctx context.Context, r sink.Receipt, m sink.Message) error {
	var s stored
	if err := json.Unmarshal(m, &s); err != nil {
		return &sink.Error{Class: sink.Refused, Err: fmt.Errorf("decoding the stored message: %w", err)}
	}
	id, err := strconv.ParseInt(r.MessageID, 10, 64)
	if err != nil {
		return &sink.Error{Class: sink.Refused, Err: fmt.Errorf("the message id %.40q is not a number", r.MessageID)}
	}
	params := messageParams{
		ChatID:    r.Chat,
		MessageID: id,
		Text:      s.Text,
		Entities:  s.Entities,
		Preview:   noPreview,
		Markup:    s.Markup,
	}
	err = c.client.call(ctx, "editMessageText", params, nil)
	var refused *apiError
	if err == nil || errors.As(err, &refused) && refused.says("message is not modified") {
		return nil
	}
	return classify(err, attempt{last: s.Level == int(message.LastLevel)})
}

func (c *Chat) chatID(where sink.Place) string {
	if where.Chat != "" {
		return where.Chat
	}
	return c.cfg.Chat
}

func (c *Chat) thread(where sink.Place) int64 {
	if where.NoThread {
		return 0
	}
	return c.cfg.Thread
}
