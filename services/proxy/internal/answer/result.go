package answer

import (
	"errors"
	"fmt"
	"strings"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

// What an answer is refused for, besides what a Judge says.
var (
	// ErrForbidden is an answer with one of the forbidden values in it.
	ErrForbidden = errors.New("the answer holds a value that may not be passed on")
	// ErrMalformed is an answer that a client might read differently from this
	// package, and so act on a call that has not been judged.
	ErrMalformed = errors.New("the answer is not in the form that its API documents")
	// ErrTooLarge is an answer of which more would have to be held, or parsed at
	// once, than is allowed.
	ErrTooLarge = errors.New("the answer holds more than can be checked")
)

// ForbiddenError is an ErrForbidden that says which value it was.
type ForbiddenError struct {
	Value   int  // its index in Options.Forbidden
	Spelled bool // it is written in another way, see package spelled
}

// Error implements error.
func (e *ForbiddenError) Error() string { return ErrForbidden.Error() }

// Is reports that e is an ErrForbidden.
func (e *ForbiddenError) Is(target error) bool { return target == ErrForbidden }

// NotUTF8 is why an answer that is declared to be in charset is refused.
func NotUTF8(charset string) error {
	reason := fmt.Errorf("%w: it is declared to be in %.40q", ErrMalformed, charset)
	return &Refused{reason, llmapi.Blocked(reason.Error())}
}

// Refused is the error of a Read that withholds the answer, or its rest. The
// rest of the upstream body has not been read.
type Refused struct {
	Reason error        // ErrForbidden, ErrMalformed, ErrTooLarge, or what Judge or Text returned
	Answer llmapi.Error // for the client
}

// Error is the reason's text, which the client may be shown.
func (e *Refused) Error() string { return e.Reason.Error() }

// Unwrap returns the reason and the answer.
func (e *Refused) Unwrap() []error { return []error{e.Reason, e.Answer} }

// Result is what has been seen of an answer. Strings in it are cut after 256
// bytes.
type Result struct {
	ID, Model     string
	FinishReasons []string // one for each choice or candidate that has ended, at most 128
	// Usage is nil until the answer has stated any. Complete says whether that
	// was the provider's final count.
	Usage *proto.Usage
	// UsageChunk is the chunk of usage that a stream of Chat Completions has had.
	UsageChunk UsageChunk
	ToolCalls  []Call // those complete or withheld, in order, at most 1024
	MoreCalls  int    // and how many further ones the results of a batch hold
	// Background says that the answer is made without anyone waiting for it, so that it is
	// whole only when it is fetched (Responses).
	Background bool
	ErrorType  string // the provider's word for an error that the answer reports, with any status
	Blocked    error  // why the answer was withheld, in whole or from some point on; nil if it was not
}

// UsageMode says whether a client gets a chunk of usage.
type UsageMode uint8

// The modes. OpenAI's API, and what keeps to it, marks that it was asked for the usage: all
// other chunks then have a usage, which is null.
// https://platform.openai.com/docs/api-reference/chat/create#chat-create-stream_options
const (
	KeepUsage UsageMode = iota
	DropMarkedUsage
	DropUsage
)

// UsageChunk is a chunk without choices, just the usage.
type UsageChunk uint8

// The kinds: see [UsageMode].
const (
	NoUsageChunk UsageChunk = iota
	MarkedUsageChunk
	UnmarkedUsageChunk
)

// Call is a tool call that the answer held.
type Call struct {
	llmapi.ToolCall       // without Arguments, which would keep the answer in memory
	Refused         error // why it was withheld, which may be another call that was held with it; nil if it went on
}

const (
	maxCalls   = 1024 // of one answer
	maxChoices = 128  // of one answer
	maxWord    = 256  // bytes
)

// clip bounds a string that the provider has made.
func clip(s string) string {
	if len(s) <= maxWord {
		return s
	}
	return strings.ToValidUTF8(s[:maxWord], "")
}

// record notes a call that was released, or why it was not.
func (g *gate) record(c *call, refused error) {
	tool := llmapi.ToolCall{ID: clip(c.ID), Name: clip(c.Name), Remote: c.Remote}
	g.result.ToolCalls = append(g.result.ToolCalls, Call{ToolCall: tool, Refused: refused})
	c.recorded = len(g.result.ToolCalls)
}

// finish notes that a choice has ended. Some servers repeat a reason in every
// chunk: the first counts.
func (g *gate) finish(choice int, reason string) {
	if reason == "" || len(g.finished) == maxChoices {
		return
	}
	for _, c := range g.finished {
		if c == choice {
			return
		}
	}
	g.finished = append(g.finished, choice)
	g.result.FinishReasons = append(g.result.FinishReasons, clip(reason))
}

func (g *gate) identify(id, model string) {
	if id != "" {
		g.result.ID = clip(id)
	}
	if model != "" {
		g.result.Model = clip(model)
	}
}
