package audit

import (
	"errors"
	"fmt"

	"github.com/openclaw-security/bus/proto"
)

// Subjects are those on which the auditor answers questions. The last token names
// the question; request and reply are JSON.
const Subjects = subject + ">"

const subject = proto.QueryPrefix + ".audit."

// The questions, with what is sent and what a reply's Value is.
const (
	QuestionStatus = "status" // StatusQuery, Status
	QuestionList   = "list"   // ListQuery, ListPage
	QuestionShow   = "show"   // ShowQuery, Shown
	QuestionReport = "report" // ReportQuery, ReportPage
	QuestionTools  = "tools"  // ToolsQuery, ToolsPage
)

// Status is how far an auditor is.
type Status struct {
	Log     string `json:"log"`               // its id
	Records uint64 `json:"records"`           // in the log
	Indexed uint64 `json:"indexed"`           // of those, in the index, which answers the other questions
	Signed  uint64 `json:"signed"`            // the last record that a signature covers
	Problem string `json:"problem,omitempty"` // why records are not being logged or indexed
}

// StatusQuery asks for the [Status].
type StatusQuery struct{}

// ListQuery asks for requests.
type ListQuery struct {
	Filter Filter `json:"filter"`
	Order  Order  `json:"order"`
}

// ListPage is a part of a list.
type ListPage struct {
	Requests []Request `json:"requests"`
	More     bool      `json:"more,omitempty"` // behind the last one
}

// ShowQuery asks for one request, by its id or how that begins.
type ShowQuery struct {
	ID string `json:"id"`
}

// ReportQuery asks for a report.
type ReportQuery struct {
	By     By     `json:"by"`
	Filter Filter `json:"filter"`
	Zone   string `json:"zone,omitempty"` // whose days count, such as Europe/Berlin; empty for UTC
	Skip   int    `json:"skip,omitempty"` // rows that are known already
}

// ReportPage is a report with a part of its rows.
type ReportPage struct {
	Report
	More bool `json:"more,omitempty"` // rows
}

// ToolsQuery asks how tools were called.
type ToolsQuery struct {
	Filter Filter `json:"filter"`
	Skip   int    `json:"skip,omitempty"` // uses that are known already
}

// ToolsPage is a part of the uses of tools.
type ToolsPage struct {
	Uses []ToolUse `json:"uses"`
	All  int       `json:"all"` // uses, in all pages
}

// Reply is what comes back to a question: an error or the value.
type Reply[T any] struct {
	Error *ReplyError `json:"error,omitempty"`
	Value T           `json:"value"`
}

// Codes of a [ReplyError].
const (
	CodeInvalid   = "invalid"   // the question cannot be read, or asks for what there is not
	CodeNotFound  = "not_found" // ErrNotFound
	CodeAmbiguous = "ambiguous" // ErrAmbiguous
	CodeBusy      = "busy"      // too many questions at once, or one that takes too long
	CodeFailed    = "failed"    // the auditor cannot read its index or its log
)

// ReplyError is why a question has no answer.
type ReplyError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Error says what the auditor said.
func (e *ReplyError) Error() string { return "the auditor replies: " + e.Message }

// Unwrap returns the sentinel error that the code stands for, if there is one.
func (e *ReplyError) Unwrap() error {
	switch e.Code {
	case CodeNotFound:
		return ErrNotFound
	case CodeAmbiguous:
		return ErrAmbiguous
	}
	return nil
}

// ErrUnanswered reports that no auditor has replied.
var ErrUnanswered = errors.New("no auditor has replied: is one running on this bus?")

func unanswered(err error) error { return fmt.Errorf("%w (%w)", ErrUnanswered, err) }
