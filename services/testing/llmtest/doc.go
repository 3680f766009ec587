// Package llmtest is a local stand-in for the model providers: a small HTTP
// server that answers as Anthropic, OpenAI and Gemini do, for tests, benchmarks
// and the demo. It runs no model; the request says what is to be answered.
//
//	request ─▶ record ─▶ route ─▶ key ─▶ parse ─▶ directives ─▶ answer ─▶ pace, cut, compress ─▶
//	                        └──────┴───────┴─ the provider's own error ─────────────────────────▶
//
// It serves
//
//	Anthropic  POST /v1/messages, /v1/messages/count_tokens
//	OpenAI     POST /v1/chat/completions, /v1/responses, /v1/embeddings
//	Gemini     POST /v1beta/models/{model}:generateContent, :streamGenerateContent, :countTokens
//	each       GET  the list of models, and one model
//
// and shares nothing with the code that it is there to test. A model is known if
// its name begins as the provider's do (claude-, gpt-, gemini-, …). A wrong or
// missing key, a missing anthropic-version, an unknown model, JSON that is none
// and a body over 32 MiB are refused with the provider's status and error.
//
// # Directives
//
// Without a directive the answer is a short text. The lines of the last message
// that begin with # and a word change that, if it is the user's; the answer to
// a tool's result is text, so that an agent that runs tools comes to an end.
// Directives can be combined, each on a line of its own.
//
//	#say TEXT           answers with TEXT, streamed word by word
//	#text N[xPAUSE]     N words; streamed with a pause before each: #text 20x50ms
//	#size N[k|m]        a text of N bytes, streamed in pieces of 1 KiB
//	#tool NAME JSON     asks for a tool call, after the text if there is a
//	                    directive for one; several are parallel calls
//	#slow DURATION      waits before the answer begins
//	#gzip #br #zstd #deflate
//	                    compresses the answer, whether that was asked for or not
//	#error STATUS       answers with an error: #error 529
//	#redirect [URL]     answers 307 to URL
//	#echo-key           shows the received key in a header and in an error; if it
//	                    streams, also split over two pieces of text, and the
//	                    error's bytes split within the key
//	#error-after N      ends the stream with an error after N events
//	#break-after N      cuts the connection after N events
//	#stall [N]          stops sending after N events, until the client goes
//
// Events are counted as they stand on the wire, pings included. Where an answer
// does not stream, N = 0 means before its status, and any other N after half of
// its body; #error-after is then an error of status 500. A directive that is
// unknown or wrong is refused with status 400.
//
// # Sources
//
// The formats follow the providers' references:
// https://docs.claude.com/en/api/messages-streaming,
// https://docs.claude.com/en/api/errors,
// https://platform.openai.com/docs/api-reference,
// https://ai.google.dev/api/generate-content.
package llmtest
