package campaign

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/testing/telegramtest"
)

// The judge finds each fault by itself, and none where there is none.
func TestJudge(t *testing.T) {
	tests := []struct {
		name string
		make func(*evidence)
		want string // a part of the only fault; empty for none
	}{
		{"as it should be", func(*evidence) {}, ""},
		{"an alert is not in its stream", func(e *evidence) { e.published = append(e.published, "ffffffffffff0000") }, "is in its stream 0 times"},
		{"an alert is not delivered", func(e *evidence) { e.ledger[1].Ranges = e.ledger[1].Ranges[:1] }, "alert 4 (dddddddddddd0004, medium) was not delivered"},
		{"another of the same sequence is delivered instead", func(e *evidence) { e.ledger[1].Ranges[1].Stream = "ALERTS_b" }, "alert 4 (dddddddddddd0004, medium) was not delivered"},
		{"it is a dead letter", func(e *evidence) {
			e.ledger[1].Ranges = e.ledger[1].Ranges[:1]
			e.dead = []deadLetter{{"notifier-chat-routine", place{stream, 4}}}
			e.refuse(forms)
		}, ""},
		{"it is a dead letter for no reason", func(e *evidence) {
			e.ledger[1].Ranges = e.ledger[1].Ranges[:1]
			e.dead = []deadLetter{{"notifier-chat-routine", place{stream, 4}}}
			e.refuse(forms - 1)
		}, "1 dead letters, though"},
		{"it is a dead letter of another sink", func(e *evidence) {
			e.ledger[1].Ranges = e.ledger[1].Ranges[:1]
			e.dead = []deadLetter{{"notifier-stdout", place{stream, 4}}}
		}, "alert 4 (dddddddddddd0004, medium) was not delivered"},
		{"one below the least severity is delivered", func(e *evidence) { e.ledger[1].Ranges[0].First = 2 }, "alert 2 of severity low was delivered"},
		{"an alert is in two records", func(e *evidence) {
			e.ledger[0].Alerts, e.ledger[0].Ranges[0].Last = 2, 3
			e.ledger[0], e.ledger[1] = e.ledger[1], e.ledger[0]
			e.alerts[1].severity = proto.SeverityHigh
		}, "alert 3 is in the ledger again"},
		{"an alert is shown twice", func(e *evidence) {
			e.messages = append(e.messages, telegramtest.Message{ID: 4, Chat: 7, Time: at(4), Text: "aaaaaaaaaaaa"})
			e.ledger = append(e.ledger, proto.Delivery{Sink: "chat", Chat: "7", MessageID: "4"})
		}, "shows alert aaaaaaaaaaaa, which message 1 has shown, unlabelled"},
		{"a lost message is repeated without a label", func(e *evidence) {
			e.messages[1].Text = "3 alerts"
			e.messages[2].Text = "2 alerts"
			e.ledger[1].MayRepeat = false
		}, "message 3 follows 2, whose outcome was lost, unlabelled"},
		{"a lost message is repeated by another text", func(e *evidence) { e.messages[1].Text = "3 alerts" }, "message 3 is not the same as 2"},
		{"it was given up before", func(e *evidence) {
			e.messages[1].Text, e.messages[2].Text = "3 alerts", "2 alerts"
			e.ledger[1].MayRepeat = false
			e.refuse(forms)
		}, ""},
		{"the last message is not in the ledger", func(e *evidence) {
			e.messages = append(e.messages, telegramtest.Message{ID: 4, Chat: 7, Time: at(4), Text: "a notice"})
		}, "message 4 was accepted and is not in the ledger"},
		{"the ledger has a message that nobody got", func(e *evidence) {
			e.ledger = append(e.ledger, proto.Delivery{Sink: "chat", Chat: "7", MessageID: "9"})
		}, "which the chat never got"},
		{"the ledger knows of no label", func(e *evidence) { e.ledger[1].MayRepeat = false }, "has a label: true, the ledger says false"},
		{"a digest counts wrong", func(e *evidence) { e.ledger[1].Alerts = 5 }, "does not count 5 alerts"},
		{"a card names another alert", func(e *evidence) { e.messages[0].Text = "bbbbbbbbbbbb" }, "does not name alert aaaaaaaaaaaa0001"},
		{"two requests are too close", func(e *evidence) { e.arrivals[1].at = at(0).Add(900 * time.Millisecond) }, "a request 900ms after another"},
		{"there are too many in a minute", func(e *evidence) { e.limits["chat"] = 2 }, "3 requests in 3s"},
		{"Telegram has to refuse one", func(e *evidence) {
			e.requests = append(e.requests, telegramtest.Request{Serial: 8, Chat: "7", Status: 429})
		}, "request 8 exceeds Telegram's own limits"},
		{"a script has it refuse one", func(e *evidence) {
			e.requests = append(e.requests, telegramtest.Request{Serial: 8, Chat: "7", Status: 429, Fault: "429 3"})
		}, ""},
		{"a request goes to another chat", func(e *evidence) { e.arrivals[1].chat = "8" }, `a request to chat "8"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e := sound()
			test.make(&e)
			faults := e.faults()
			if test.want == "" && len(faults) == 0 {
				return
			}
			if test.want == "" || len(faults) != 1 || !strings.Contains(faults[0], test.want) {
				t.Errorf("found %q, want %q", faults, test.want)
			}
		})
	}
}

// refuse has the chat refuse n forms of a message after the second message.
func (e *evidence) refuse(n int) {
	for range n {
		e.requests = append(e.requests, telegramtest.Request{Chat: "7", Time: at(2), Status: 400, Fault: "error 400 made up"})
	}
}

func at(second int) time.Time { return time.Unix(1_700_000_000+int64(second), 0) }

// stream is where the alerts of the made-up evidence are.
const stream = "ALERTS_a"

// sound is evidence of a card, and of a digest whose first answer was lost.
func sound() evidence {
	e := evidence{
		least:  proto.SeverityMedium,
		limits: map[string]int{"chat": 10},
		sinkOf: func(chat string) string { return map[string]string{"7": "chat"}[chat] },
		messages: []telegramtest.Message{
			{ID: 1, Chat: 7, Time: at(0), Text: "HIGH, secbus trace aaaaaaaaaaaa"},
			{ID: 2, Chat: 7, Time: at(1), Text: "2 alerts"},
			{ID: 3, Chat: 7, Time: at(3), Text: label + "2 alerts"},
		},
		ledger: []proto.Delivery{
			{Sink: "chat", Chat: "7", MessageID: "1", Kind: proto.DeliveryCards, Alerts: 1, Ranges: []proto.SequenceRange{{Stream: stream, First: 1, Last: 1}}},
			{Sink: "chat", Chat: "7", MessageID: "3", Kind: proto.DeliveryDigest, Alerts: 2, MayRepeat: true, Ranges: []proto.SequenceRange{{Stream: stream, First: 3, Last: 3}, {Stream: stream, First: 4, Last: 4}}},
		},
	}
	for i, severity := range []proto.Severity{proto.SeverityHigh, proto.SeverityLow, proto.SeverityCritical, proto.SeverityMedium} {
		id := fmt.Sprintf("%s%04d", strings.Repeat(string(rune('a'+i)), 12), i+1)
		e.published = append(e.published, id)
		e.alerts = append(e.alerts, storedAlert{place{stream, uint64(i + 1)}, id, severity})
	}
	for i := range 3 {
		e.arrivals = append(e.arrivals, arrival{"7", e.messages[i].Time})
	}
	return e
}
