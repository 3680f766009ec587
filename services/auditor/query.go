package auditor

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/auditor/internal/index"
	"github.com/openclaw-security/bus/services/internal/audit"
	"github.com/openclaw-security/bus/services/internal/price"
)

// Bounds of a reply. A NATS server takes messages of 1 MiB by default
// (https://docs.nats.io/running-a-nats-service/configuration, max_payload).
const (
	pageBytes  = 256 << 10 // of requests, and the last one on top
	pageRows   = 256       // of a report, or uses of tools
	maxRequest = 512 << 10 // bytes of a request in a list
	maxReply   = 1<<20 - 4096
)

// maxQueries is how many questions are worked on at the same time; others wait.
const maxQueries = 2

// answerer answers the questions of package audit.
type answerer struct {
	dir    string
	index  *index.Index
	prices *price.Table
	status func() audit.Status
	places chan struct{}
}

// answer serves questions until ctx is done. The log goes on without it: an auditor
// whose role may not answer keeps records all the same.
func (a *auditor) answer(ctx context.Context) error {
	queries := answerer{dir: a.cfg.Dir, index: a.index, prices: a.prices, status: a.status, places: make(chan struct{}, maxQueries)}
	if err := a.conn.Answer(ctx, audit.Subjects, queries.reply); err != nil {
		a.out.Error("questions about the audit log are not answered", "err", err)
	}
	return nil
}

// status is how far the log and the index are.
func (a *auditor) status() audit.Status {
	indexed, _ := a.index.Position()
	end := a.log.Last()
	s := audit.Status{Log: end.Log, Records: end.Seq, Indexed: indexed, Signed: a.log.Stats().Signed}
	if problem := cmp.Or(a.problem.log.Load(), a.problem.index.Load()); problem != nil {
		s.Problem = *problem
	}
	return s
}

// reply answers one question: subject names it.
func (a *answerer) reply(ctx context.Context, subject string, body []byte) []byte {
	ctx, cancel := context.WithTimeout(ctx, audit.AnswerWithin)
	defer cancel()
	select {
	case a.places <- struct{}{}:
		defer func() { <-a.places }()
	case <-ctx.Done():
		return failure(audit.CodeBusy, "too many questions at once")
	}
	switch question := subject[strings.LastIndexByte(subject, '.')+1:]; question {
	case audit.QuestionStatus:
		return reply(ctx, body, func(context.Context, audit.StatusQuery) (audit.Status, error) { return a.status(), nil })
	case audit.QuestionList:
		return reply(ctx, body, a.list)
	case audit.QuestionShow:
		return reply(ctx, body, a.show)
	case audit.QuestionReport:
		return reply(ctx, body, a.report)
	case audit.QuestionTools:
		return reply(ctx, body, a.tools)
	default:
		return failure(audit.CodeInvalid, fmt.Sprintf("unknown question %.40q", question))
	}
}

// reply reads a question, and encodes its answer or what is wrong. What this
// program does not know in a question could choose other requests than are meant:
// it is not passed over.
func reply[Q, R any](ctx context.Context, body []byte, answer func(context.Context, Q) (R, error)) []byte {
	var q Q
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&q); err != nil {
		return failure(audit.CodeInvalid, fmt.Sprintf("the question cannot be read: %.200v", err))
	}
	value, err := answer(ctx, q)
	switch {
	case errors.Is(err, audit.ErrNotFound):
		return failure(audit.CodeNotFound, err.Error())
	case errors.Is(err, audit.ErrAmbiguous):
		return failure(audit.CodeAmbiguous, err.Error())
	case errors.Is(err, audit.ErrBy), errors.Is(err, errZone):
		return failure(audit.CodeInvalid, err.Error())
	case errors.Is(err, context.DeadlineExceeded), ctx.Err() != nil:
		return failure(audit.CodeBusy, fmt.Sprintf("no answer was found within %s: choose fewer requests", audit.AnswerWithin))
	case err != nil:
		return failure(audit.CodeFailed, err.Error())
	}
	text, err := json.Marshal(audit.Reply[R]{Value: value})
	if err == nil && len(text) > maxReply {
		err = fmt.Errorf("the answer has %d bytes of at most %d", len(text), maxReply)
	}
	if err != nil {
		return failure(audit.CodeFailed, err.Error())
	}
	return text
}

func failure(code, message string) []byte {
	// A struct of two strings can always be encoded.
	text, _ := json.Marshal(audit.Reply[*struct{}]{Error: &audit.ReplyError{Code: code, Message: message}})
	return text
}

func (a *answerer) list(ctx context.Context, q audit.ListQuery) (page audit.ListPage, err error) {
	size := 0
	for r, err := range a.index.List(ctx, q.Filter, q.Order) {
		if err != nil {
			return page, err
		}
		if size >= pageBytes {
			page.More = true
			break
		}
		n := encodedSize(&r)
		if n > maxRequest {
			r = bare(r)
			n = encodedSize(&r)
		}
		size += n
		page.Requests = append(page.Requests, r)
	}
	return page, nil
}

// bare is a request without what makes it too large for a reply, so that one is not
// in the way of all that come after it.
func bare(r audit.Request) audit.Request {
	return audit.Request{State: r.State, StartSeq: r.StartSeq, EndSeq: r.EndSeq, Audit: proto.Audit{
		ID: r.ID, RequestID: r.RequestID, Phase: r.Phase, Time: r.Time, Severity: r.Severity, SeverityID: r.SeverityID, ClassUID: r.ClassUID,
		Decision: r.Decision, Status: r.Status, Usage: r.Usage, Duration: r.Duration,
		Reason: "this record is too large to be sent; it is in the log",
	}}
}

func encodedSize(r *audit.Request) int {
	text, err := json.Marshal(r)
	if err != nil {
		return 0 // the reply says so
	}
	return len(text)
}

func (a *answerer) show(ctx context.Context, q audit.ShowQuery) (audit.Shown, error) {
	s, err := show(ctx, a.index, a.dir, q.ID)
	if err != nil {
		return audit.Shown{}, err
	}
	if encodedSize(&s.Request) > maxRequest {
		s.Request = bare(s.Request)
	}
	const base64 = 4. / 3
	if float64(len(s.Start)+len(s.End))*base64+float64(encodedSize(&s.Request)) > maxReply-1024 {
		s.Start, s.End, s.Omitted = nil, nil, true
	}
	return *s, nil
}

var errZone = errors.New("the time zone is not known here")

func (a *answerer) report(ctx context.Context, q audit.ReportQuery) (page audit.ReportPage, err error) {
	zone, err := time.LoadLocation(q.Zone)
	if err != nil || zone == time.Local {
		return page, fmt.Errorf("%w: %.60q", errZone, q.Zone)
	}
	r, err := a.index.Report(ctx, q.By, q.Filter, a.prices, zone)
	if err != nil {
		return page, err
	}
	page.Report = *r
	page.Rows, page.More = rows(r.Rows, q.Skip)
	return page, nil
}

func (a *answerer) tools(ctx context.Context, q audit.ToolsQuery) (page audit.ToolsPage, err error) {
	uses, err := a.index.Tools(ctx, q.Filter)
	page.All = len(uses)
	page.Uses, _ = rows(uses, q.Skip)
	return page, err
}

// rows is the page of all behind the first skip, and whether there are more.
func rows[T any](all []T, skip int) (page []T, more bool) {
	all = all[min(max(skip, 0), len(all)):]
	n := min(pageRows, len(all))
	return all[:n], n < len(all)
}
