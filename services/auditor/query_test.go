package auditor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/audit"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/testing/bustest"
)

// TestAnswers compares what the auditor answers over the bus with what a reader of
// its directory finds, over more than a page of everything.
func TestAnswers(t *testing.T) {
	const n = 2*pageRows + 10 // requests, each of a client of its own
	r := newRig(t)
	var msgs []*nats.Msg
	for i := range n {
		for _, phase := range []proto.Phase{proto.PhaseStart, proto.PhaseEnd} {
			a := auditRecord(i, phase, time.Now())
			a.Client = fmt.Sprint("client", i)
			if phase == proto.PhaseEnd {
				a.ToolCalls[0].ID = strings.Repeat("x", 4*pageBytes/n)
			}
			msgs = append(msgs, message(a.ID, text(t, a, 10)))
		}
	}
	r.publish(msgs...)
	a := r.start()
	r.settled()
	r.signed(2 * n)
	bustest.Eventually(t, "all records are indexed", func() bool { return a.count("auditor_records_indexed_total") == 2*n })
	for _, role := range []string{bus.RoleOperator, bus.RoleNotifier} {
		t.Run(role, func(t *testing.T) {
			client := audit.Client{Conn: r.bus.Conn(t, role), Zone: time.UTC}
			status, err := client.Status(t.Context())
			if err != nil || status.Records != 2*n || status.Indexed != 2*n || status.Signed != 2*n || status.Problem != "" || status.Log == "" {
				t.Errorf("status %+v, %v", status, err)
			}
			for _, order := range []audit.Order{{}, {OldestFirst: true}, {Limit: 3}, {Limit: n - 1}, {After: "request-000100"}} {
				var want, got []audit.Request
				for request, err := range r.reader.List(t.Context(), audit.Filter{}, order) {
					if err != nil {
						t.Fatal(err)
					}
					want = append(want, request)
				}
				for request, err := range client.List(t.Context(), audit.Filter{}, order) {
					if err != nil {
						t.Fatal(err)
					}
					got = append(got, request)
				}
				if len(want) == 0 || !reflect.DeepEqual(got, want) {
					t.Errorf("%+v: a list of %d requests, want %d", order, len(got), len(want))
				}
			}
			filter := audit.Filter{Since: time.Now().Add(-time.Hour), Until: time.Now(), Tool: "read"}
			for _, by := range []audit.By{audit.ByDay, audit.ByHour, audit.ByModel, audit.ByClient, audit.ByTool} {
				want, err := r.reader.Report(t.Context(), by, filter)
				if err != nil {
					t.Fatal(err)
				}
				got, err := client.Report(t.Context(), by, filter)
				if err != nil || !reflect.DeepEqual(got, want) {
					t.Errorf("report by %s: got %+v, %v, want %+v", by, got, err, want)
				}
			}
			want, err := r.reader.Tools(t.Context(), audit.Filter{})
			if err != nil || len(want) != n {
				t.Fatal(len(want), err)
			}
			if got, err := client.Tools(t.Context(), audit.Filter{}); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%d uses of tools, %v", len(got), err)
			}
			shown, err := r.reader.Show(t.Context(), "request-000007")
			if err != nil || shown.Start == nil || shown.End == nil {
				t.Fatal(shown, err)
			}
			if got, err := client.Show(t.Context(), "request-000007"); err != nil || !reflect.DeepEqual(got, shown) {
				t.Errorf("got %+v, %v", got, err)
			}
			if _, err := client.Show(t.Context(), "request-"); !errors.Is(err, audit.ErrAmbiguous) {
				t.Errorf("an ambiguous id: %v", err)
			}
			if _, err := client.Show(t.Context(), "nothing"); !errors.Is(err, audit.ErrNotFound) {
				t.Errorf("an id that is not there: %v", err)
			}
			var invalid *audit.ReplyError
			if _, err := client.Report(t.Context(), "colour", audit.Filter{}); !errors.As(err, &invalid) || invalid.Code != audit.CodeInvalid {
				t.Errorf("a report by color: %v", err)
			}
			nowhere := audit.Client{Conn: client.Conn, Zone: time.FixedZone("Nowhere/City", 3600)}
			if _, err := nowhere.Report(t.Context(), audit.ByDay, audit.Filter{}); !errors.As(err, &invalid) || invalid.Code != audit.CodeInvalid {
				t.Errorf("the days of no zone: %v", err)
			}
		})
	}
}

// TestRepliesAreBounded has records as large as the log takes.
func TestRepliesAreBounded(t *testing.T) {
	dir := t.TempDir()
	l, err := openLog(Config{Dir: dir}, bustest.Log(t))
	if err != nil {
		t.Fatal(err)
	}
	large := auditRecord(1, proto.PhaseEnd, time.Now())
	large.ToolCalls[0].ID = strings.Repeat("x", 2*maxReply)
	small := auditRecord(2, proto.PhaseEnd, time.Now())
	records := append(storedRecords(t, large), storedRecords(t, small)...)
	if err := errors.Join(l.Append(records), l.Close()); err != nil {
		t.Fatal(err)
	}
	x, _, err := openIndex(t.Context(), dir, last(t, dir), bustest.Log(t))
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	a := answerer{dir: dir, index: x, places: make(chan struct{}, 1)}

	var list audit.Reply[audit.ListPage]
	text := a.reply(t.Context(), "query.audit.list", []byte(`{"filter":{},"order":{"oldest_first":true}}`))
	if err := json.Unmarshal(text, &list); err != nil || len(list.Value.Requests) != 2 || list.Value.Requests[0].RequestID != large.RequestID || list.Value.Requests[0].ToolCalls != nil || list.Value.Requests[1].ToolCalls == nil {
		t.Errorf("%.1000s, %v", text, err)
	}
	var shown audit.Reply[audit.Shown]
	text = a.reply(t.Context(), "query.audit.show", []byte(`{"id":"`+large.RequestID+`"}`))
	if err := json.Unmarshal(text, &shown); err != nil || shown.Value.Request.RequestID != large.RequestID || !shown.Value.Omitted || shown.Value.End != nil {
		t.Errorf("%.1000s, %v", text, err)
	}
}

func TestQuestionsThatCannotBeRead(t *testing.T) {
	a := answerer{places: make(chan struct{}, 1)}
	for name, q := range map[string][2]string{
		"no such question":   {"query.audit.delete", `{}`},
		"no JSON":            {"query.audit.list", `{`},
		"nothing":            {"query.audit.list", ``},
		"an unknown field":   {"query.audit.list", `{"filter":{"clients":"all"},"order":{}}`},
		"an unknown level":   {"query.audit.list", `{"filter":{"min_severity":"awful"},"order":{}}`},
		"another type":       {"query.audit.report", `{"by":5}`},
		"this machine's day": {"query.audit.report", `{"by":"day","filter":{},"zone":"Local"}`},
	} {
		t.Run(name, func(t *testing.T) {
			var got audit.Reply[json.RawMessage]
			if err := json.Unmarshal(a.reply(t.Context(), q[0], []byte(q[1])), &got); err != nil || got.Error == nil || got.Error.Code != audit.CodeInvalid {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

// TestNobodyAnswers has no auditor: that is known at once.
func TestNobodyAnswers(t *testing.T) {
	b := bustest.Start(t)
	client := audit.Client{Conn: b.Conn(t, bus.RoleNotifier)}
	began := time.Now()
	if _, err := client.Status(t.Context()); !errors.Is(err, audit.ErrUnanswered) {
		t.Errorf("got %v", err)
	}
	if took := time.Since(began); took > audit.AnswerWithin/2 {
		t.Errorf("waited %s for nobody", took)
	}
}

// TestWhoMayAskAndAnswer: only the operator and the notifier reach the auditor, and
// nobody else can be taken for it.
func TestWhoMayAskAndAnswer(t *testing.T) {
	r := newRig(t)
	r.start()
	r.publish(requests(t, 0, 1, 0)...)
	r.settled()
	for _, role := range r.bus.Roles() {
		t.Run(role.Name, func(t *testing.T) {
			conn := r.bus.Conn(t, role.Name)
			_, err := audit.Client{Conn: conn}.Status(t.Context())
			var denied *bus.PermissionError
			if may := role.Name == bus.RoleOperator || role.Name == bus.RoleNotifier; may && err != nil || !may && !errors.As(err, &denied) {
				t.Errorf("a question: %v", err)
			}
			if role.Name == bus.RoleAuditor {
				return
			}
			for _, subject := range []string{audit.Subjects, "query.audit.status"} {
				err = conn.Answer(t.Context(), subject, func(_ context.Context, subject string, _ []byte) []byte {
					t.Errorf("got a question on %s", subject)
					return nil
				})
				if !errors.As(err, &denied) || denied.Op != "subscribe" {
					t.Errorf("answering %s: %v", subject, err)
				}
			}
		})
	}
}

// TestRepliesForgeNothing asks for replies on subjects that others listen to or that
// are stored: they reach nobody.
func TestRepliesForgeNothing(t *testing.T) {
	r := newRig(t)
	r.start()
	r.publish(requests(t, 0, 1, 0)...)
	r.settled()
	r.signed(2)
	tail, err := r.bus.Raw(t, bus.RoleTail).SubscribeSync(proto.StoredPrefix + ".>")
	if err != nil {
		t.Fatal(err)
	}
	other := r.bus.Raw(t, bus.RoleNotifier)
	notifier, err := other.SubscribeSync(bus.InboxPrefix(bus.RoleNotifier) + ".>")
	if err != nil {
		t.Fatal(err)
	}
	operator := r.bus.Raw(t, bus.RoleOperator)
	for _, reply := range []string{
		"security.alert.box1.suricata.forged.critical", "ingest.alert.box1.suricata.forged.critical", "ingest.audit.box1.proxy.forged.info",
		bus.InboxPrefix(bus.RoleNotifier) + ".forged", proto.DeadSubject(proto.StreamAudit, proto.DurableAuditor),
	} {
		for _, question := range []string{"status", "list", "nothing"} {
			if err := operator.PublishRequest("query.audit."+question, reply, []byte(`{}`)); err != nil {
				t.Fatal(err)
			}
		}
	}
	// What comes behind them: the reply to somebody else, and another record.
	if err := other.PublishRequest("query.audit.status", bus.InboxPrefix(bus.RoleNotifier)+".last", []byte(`{}`)); err != nil {
		t.Fatal(err)
	}
	r.publish(message("last", []byte(`{}`)))
	for sub, last := range map[*nats.Subscription]string{notifier: "last", tail: "audit"} {
		for came := false; !came; {
			m, err := sub.NextMsgWithContext(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(m.Subject, "forged") {
				t.Errorf("%s has come", m.Subject)
			}
			came = strings.Contains(m.Subject, last)
		}
	}
	reader := r.bus.Conn(t, bus.RoleOperator)
	streams, err := reader.SecurityStreams(t.Context())
	if err != nil || !slices.Contains(streams, proto.AlertsStream("auditor")) {
		t.Fatalf("the streams are %v, %v", streams, err)
	}
	for _, stream := range append(streams, proto.StreamAudit, proto.StreamDead) {
		for m, err := range reader.History(t.Context(), stream, ">", bus.Start{}) {
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(m.Subject, "forged") || strings.Contains(string(m.Data), `"value"`) {
				t.Errorf("stored is %s: %s", m.Subject, m.Data)
			}
		}
	}
}

// TestStatusNamesTheProblem: an auditor that cannot log says so to who asks.
func TestStatusNamesTheProblem(t *testing.T) {
	r := newRig(t)
	a := r.start()
	r.publish(requests(t, 0, segmentRequests, answerBytes)...)
	r.settled()
	if err := os.Symlink("/dev/full", filepath.Join(logDir(r.reader.Dir), "00000002.jsonl.tmp")); err != nil {
		t.Fatal(err)
	}
	r.publish(requests(t, segmentRequests, 5, 0)...)
	client := audit.Client{Conn: r.bus.Conn(t, bus.RoleNotifier)}
	problem := func() string {
		s, err := client.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return s.Problem
	}
	bustest.Eventually(t, "the status names the full disk", func() bool { return strings.Contains(problem(), "no space") })
	r.settled()
	if p := problem(); p != "" {
		t.Errorf("there is room again, and the status says %q", p)
	}
	a.stop()
}
