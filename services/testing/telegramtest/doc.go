// Package telegramtest is a local stand-in for Telegram's Bot API server, for
// tests, fault campaigns, benchmarks and the demo. It delivers to nobody; it
// keeps what was sent, or shows it on a terminal.
//
//	request ─▶ token ─▶ fault? ─▶ chat, rights, topic ─▶ flood limits ─▶ text, entities ─▶ record ─▶ answer
//	             401      │            400, 403                429              400                  │
//	                      └─ instead of it, or instead of the answer alone ──────────────────────────┘
//
// It shares nothing with the code that it is there to test. Requests may be GET
// or POST, with parameters in the query, a form or JSON, as the Bot API takes
// them. It serves
//
//	getMe getChat getChatMember getWebhookInfo sendChatAction
//	sendMessage editMessageText editMessageReplyMarkup getUpdates answerCallbackQuery
//
// and, for a test in another process,
//
//	POST /_control    a script, see below
//	POST /_press      {"message_id":1,"data":"…"}: somebody presses a button
//	GET  /_messages   what was accepted, as JSON: an array of [Message]
//	GET  /_requests   what was asked, as JSON: an array of [Request]
//
// # Strictness
//
// It is stricter than Telegram in one thing: entities that overlap without one
// being in the other, that nest as the documentation forbids, or that are more
// than 100, are refused. Telegram quietly changes them, and a test would not see
// it. Each message also lists the parts of its text that Telegram would make
// clickable by itself ([Message.Links]).
//
// # Scripts
//
// A script has a fault on each line. Each fault meets one request that sends or
// edits a message, in order; "x3" behind it stands for three.
//
//	ok                     nothing happens
//	429 SECONDS            too many requests, with retry_after
//	500 | 502 | …          an error of that status, as the Bot API words it
//	html STATUS            a page that is not JSON
//	error STATUS TEXT      an error with this description
//	drop                   breaks the connection; nothing is accepted
//	hang                   never answers; nothing is accepted
//	lost                   accepts, and breaks the connection
//	stuck                  accepts, and never answers
//	torn                   accepts, and breaks off within the answer
//	late STATUS            accepts, and answers an error of that status
//	late-html STATUS       accepts, and answers a page that is not JSON
//
// These change how things are, before the request is looked at:
//
//	migrate OLD NEW        the group becomes the supergroup of the id NEW
//	block CHAT             the bot is blocked, or thrown out; unblock CHAT
//	mute CHAT              the bot may not write; unmute CHAT
//	close CHAT TOPIC       the topic is closed
//	delete CHAT TOPIC      the topic is gone
//	revoke                 the token is not valid any more; restore
//
// Lines that are empty or begin with # are skipped. "now" before a line of the
// second sort does it at once.
package telegramtest
