package answer

import "github.com/openclaw-security/bus/services/proxy/internal/llmapi"

// What a zero MaxHeld and MaxBody stand for, in bytes.
const (
	DefaultMaxHeld = 4 << 20
	DefaultMaxBody = 32 << 20
)

// Options say what is watched for in one answer.
type Options struct {
	// API is the format of the answer. Messages, ChatCompletions, Responses and
	// GenerateContent are understood; the others pass unseen.
	API llmapi.API

	// Stream says that the answer is labelled as server-sent events. It decides
	// the form of a refusal only: the last event of the stream, or an error of
	// Read. How the answer is read depends on its first byte, as that is what a
	// client goes by that expects one form and gets the other.
	Stream bool

	// Judge is called by Read with each tool call, complete, before any byte of
	// it goes on. It may block. Nil releases the call; an error ends the
	// answer, and its text is shown to the client. It is called again for the
	// same call if the answer gives its arguments in different versions. The
	// call may not be kept. Without Judge, nothing is refused for its form.
	Judge func(llmapi.ToolCall) error

	// Text is called by Read with the answer's decoded text, in pieces, which
	// may not be kept. May be nil.
	Text func(text []byte)

	// Forbidden are values that end the answer when they appear in it: in its
	// raw bytes, in its decoded text or in a call's arguments, also when split
	// over several events. Text whose end could become one goes on once it can
	// no longer; fewer than 8 matching bytes are not held for that.
	Forbidden [][]byte

	// DropUsage drops the chunk of Chat Completions that has no choices, just
	// the usage.
	DropUsage bool

	MaxHeld int // bytes held in a stream for a verdict; over it, the answer is refused; 0 is DefaultMaxHeld
	MaxBody int // bytes of a JSON body, or of one event; over it, the answer is refused if there is a Judge, else passed on unseen; 0 is DefaultMaxBody
}
