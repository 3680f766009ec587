package telegram

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/openclaw-security/bus/services/notifier/internal/sink"
)

// maxRetryAfter bounds what a server can ask for: a flood wait is at most a day.
const maxRetryAfter = 24 * time.Hour

// attempt is what the meaning of a response depends on.
type attempt struct {
	thread bool // the message was for a topic
	last   bool // it was of the last level
}

// classify says what a failed request means for the message:
//
//	nothing written: dial, TLS, proxy; redirected      NotSent
//	broken off after that, no response, not the API's  Ambiguous
//	429                                                NotSent, with RetryAfter
//	5xx                                                Ambiguous
//	400 with migrate_to_chat_id                        Moved
//	400 topic gone or closed                           NoThread; Broken if no topic was asked for
//	400 chat not found, no right to write              Broken
//	400 about the text, its entities or its buttons    Refused
//	400 about anything else                            Unclear; Broken at the last level
//	401, 403, 404                                      Broken
//	409                                                NotSent
//	413                                                Refused
//	any other 4xx                                      Broken
//
// A message of the last level is plain ASCII, so that what is refused then is
// not the message. Broken and Unclear lose nothing: the plan goes back to its fullest
// form and waits. So the list of descriptions need not be complete; Refused would give
// up alert after alert for a reason that it does not hold. The descriptions are those of
// https://github.com/tdlib/telegram-bot-api.
func classify(err error, a attempt) *sink.Error {
	var refused *apiError
	if !errors.As(err, &refused) {
		class := sink.NotSent
		if broken := new(transportError); errors.As(err, &broken) && broken.written {
			class = sink.Ambiguous
		}
		return &sink.Error{Class: class, Err: err}
	}
	failed := &sink.Error{Class: classOf(refused, a), RetryAfter: refused.wait(), Err: refused}
	switch failed.Class {
	case sink.Moved:
		failed.MovedTo = strconv.FormatInt(refused.migrateTo, 10)
	case sink.Broken:
		if advice := adviceOn(refused); advice != "" {
			failed.Err = fmt.Errorf("%w; %s", refused, advice)
		}
	}
	return failed
}

func classOf(e *apiError, a attempt) sink.Class {
	switch {
	case e.code == 429 || e.code == 420:
		return sink.NotSent
	case e.code >= 500:
		return sink.Ambiguous
	case e.code == 409:
		return sink.NotSent
	case e.code == 413:
		return sink.Refused
	case e.code != 400:
		return sink.Broken
	case e.migrateTo != 0:
		return sink.Moved
	case e.says("thread not found", "topic_closed", "topic_deleted", "topic_id_invalid", "topic closed"):
		if a.thread {
			return sink.NoThread
		}
		return sink.Broken
	case e.cannotWrite():
		return sink.Broken
	case e.aboutText():
		return sink.Refused
	case !a.last:
		return sink.Unclear
	}
	return sink.Broken
}

// cannotWrite reports whether it is about the chat, or the bot's rights in it.
func (e *apiError) cannotWrite() bool {
	return e.says("chat not found", "chat_id", "deactivated", "upgraded to a supergroup",
		"not enough rights", "no rights", "administrator rights", "_forbidden", "chat_restricted", "chat_admin_required",
		"peer_id_invalid", "channel_private", "user_is_blocked", "user not found", "not a member", "bot was")
}

// aboutText reports whether it is about what the message says or looks like.
func (e *apiError) aboutText() bool {
	return e.says("can't parse", "entit", "too long", "text is empty", "must be non-empty", "utf-8", "utf-16",
		"button", "reply markup", "reply_markup", "message can't be edited", "message to edit not found")
}

// wait is how long the server asks to wait.
func (e *apiError) wait() time.Duration {
	return time.Duration(min(max(e.retryAfter, 0), int64(maxRetryAfter/time.Second))) * time.Second
}

// adviceOn says what the owner can do about it.
func adviceOn(e *apiError) string {
	switch {
	case e.code == 401 || e.code == 404:
		return "Telegram does not know this token: set TELEGRAM_BOT_TOKEN to the one that @BotFather shows"
	case e.says("chat not found", "peer_id_invalid", "chat_id", "user not found"):
		return "send the bot a message, or add it to the group, and check TELEGRAM_CHAT_ID"
	case e.says("blocked by the user", "user_is_blocked", "initiate conversation"):
		return "open the chat with the bot and press Start"
	case e.says("kicked", "not a member", "channel_private"):
		return "add the bot to the chat again"
	case e.says("upgraded to a supergroup"):
		return "set TELEGRAM_CHAT_ID to the new id of the group"
	case e.says("topic"):
		return "open the General topic again"
	case e.says("rights", "_forbidden", "chat_restricted", "chat_admin_required"):
		return "allow the bot to send messages in the chat"
	case e.says("deactivated", "deleted"):
		return "the chat is gone: set TELEGRAM_CHAT_ID to another"
	}
	return ""
}
