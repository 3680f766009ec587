// Package telegram is the [sink.Chat] that sends to a chat on Telegram, by the
// Bot API (https://core.telegram.org/bots/api).
//
//	Batch ─▶ fields ─▶ clean ─▶ redact ─▶ defang, cut ─▶ lay out ─▶ Message, stored by the caller
//	                                                                     │
//	     Receipt or *sink.Error ◀─ classify ◀─ answer ◀─ POST ◀─ may repeat? place?
//
// # Text
//
// What sensors report is written by whoever attacks, so it is data all the way.
// Messages have no parse_mode: the text is plain, and what is bold or monospaced
// is said by entities with offsets in UTF-16 code units, so that no character
// has a meaning. Every foreign string loses what is invisible or breaks lines,
// then the secrets of known shapes, then everything that Telegram would make
// clickable.
//
// A message is at most 4096 UTF-16 code units long, and what does not fit is
// counted in it. Levels 0 to 3 of [Chat.Render] are: with entities; the same
// text without; short; counts and ids in ASCII.
//
// # Requests
//
// The Bot API has no idempotency key. Whether a failed request may have been
// accepted decides what the caller does next, so each failure has a
// [sink.Class]; classify.go has the table. The token is part of the URL and is
// kept out of every error. Requests go through the proxy that HTTPS_PROXY and
// NO_PROXY name, because in some countries Telegram cannot be reached otherwise.
package telegram
