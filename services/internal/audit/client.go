package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"strings"
	"time"

	"github.com/openclaw-security/bus/services/internal/bus"
)

// Deadlines of a question: the auditor gives up first, so that its reply says why.
const (
	AnswerWithin = 20 * time.Second
	queryFor     = AnswerWithin + 5*time.Second
)

// Client asks the auditor over the bus. Every method waits for the reply, at most
// 25 seconds for each page; the error wraps [ErrUnanswered] if none comes, and is a
// [*ReplyError] if the auditor cannot answer.
type Client struct {
	Conn *bus.Conn
	// Zone is the time zone of a report's days; nil is UTC.
	Zone *time.Location
}

// Status returns how far the auditor is.
func (c Client) Status(ctx context.Context) (Status, error) {
	return query[Status](ctx, c.Conn, QuestionStatus, StatusQuery{})
}

// List yields the requests that f selects. The first error ends it.
func (c Client) List(ctx context.Context, f Filter, o Order) iter.Seq2[Request, error] {
	return func(yield func(Request, error) bool) {
		for left := o.Limit; ; {
			o.Limit = left
			page, err := query[ListPage](ctx, c.Conn, QuestionList, ListQuery{f, o})
			if err != nil {
				yield(Request{}, err)
				return
			}
			for _, r := range page.Requests {
				if !yield(r, nil) {
					return
				}
			}
			n := len(page.Requests)
			if !page.More || n == 0 || left > 0 && n >= left {
				return
			}
			if left > 0 {
				left -= n
			}
			o.After = page.Requests[n-1].RequestID
		}
	}
}

// Show looks up one request by its id, or by how that begins.
func (c Client) Show(ctx context.Context, id string) (*Shown, error) {
	shown, err := query[Shown](ctx, c.Conn, QuestionShow, ShowQuery{id})
	if err != nil {
		return nil, err
	}
	return &shown, nil
}

// maxRestarts is how often pages are asked for anew because the log has grown
// between two of them.
const maxRestarts = 5

var errChanging = errors.New("the audit log grows faster than its pages can be fetched: choose a shorter time, or one that is over")

// Report sums up the requests that f selects.
func (c Client) Report(ctx context.Context, by By, f Filter) (*Report, error) {
	for range maxRestarts {
		report, err := c.report(ctx, ReportQuery{By: by, Filter: f, Zone: zoneName(c.Zone)})
		if err != nil || report != nil {
			return report, err
		}
	}
	return nil, errChanging
}

// report makes one attempt. It returns nil if the report has changed between two
// pages.
func (c Client) report(ctx context.Context, q ReportQuery) (*Report, error) {
	var report *Report
	for {
		page, err := query[ReportPage](ctx, c.Conn, QuestionReport, q)
		switch {
		case err != nil:
			return nil, err
		case report == nil:
			report = &page.Report
		case page.Total != report.Total:
			return nil, nil
		default:
			report.Rows = append(report.Rows, page.Rows...)
		}
		if !page.More || len(page.Rows) == 0 {
			return report, nil
		}
		q.Skip = len(report.Rows)
	}
}

// Tools returns how tools were called in the requests that f selects.
func (c Client) Tools(ctx context.Context, f Filter) ([]ToolUse, error) {
	for range maxRestarts {
		var uses []ToolUse
		for all := -1; ; {
			page, err := query[ToolsPage](ctx, c.Conn, QuestionTools, ToolsQuery{f, len(uses)})
			if err != nil {
				return nil, err
			}
			if all >= 0 && page.All != all {
				break // another tool meanwhile: from the beginning
			}
			all, uses = page.All, append(uses, page.Uses...)
			if len(uses) >= all || len(page.Uses) == 0 {
				return uses, nil
			}
		}
	}
	return nil, errChanging
}

func query[R, Q any](ctx context.Context, conn *bus.Conn, question string, q Q) (value R, err error) {
	ctx, cancel := context.WithTimeout(ctx, queryFor)
	defer cancel()
	body, err := json.Marshal(q)
	if err != nil {
		return value, fmt.Errorf("asking the auditor: %w", err)
	}
	data, err := conn.Request(ctx, subject+question, body)
	switch {
	case errors.Is(err, bus.ErrUnanswered), errors.Is(err, context.DeadlineExceeded):
		return value, unanswered(err)
	case err != nil:
		return value, fmt.Errorf("asking the auditor: %w", err)
	}
	var reply Reply[R]
	if err := json.Unmarshal(data, &reply); err != nil {
		return value, fmt.Errorf("reading the auditor's reply: %w", err)
	}
	if reply.Error != nil {
		return value, reply.Error
	}
	return reply.Value, nil
}

// zoneName is the name by which the auditor knows a zone. This machine's own has
// none in Go: it is found where the system has it
// (https://www.freedesktop.org/software/systemd/man/latest/localtime.html), and
// taken for UTC if it is not there.
func zoneName(zone *time.Location) string {
	if zone == nil {
		return ""
	}
	if zone != time.Local {
		return zone.String()
	}
	if name, set := os.LookupEnv("TZ"); set {
		return strings.TrimPrefix(name, ":")
	}
	path, err := os.Readlink("/etc/localtime")
	if err != nil {
		return ""
	}
	_, name, _ := strings.Cut(path, "zoneinfo/")
	return name
}
