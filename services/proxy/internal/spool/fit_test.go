package spool

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/proto"
)

// widest is a record with as much of everything as the proxy puts into one, of a
// text that each piece is made of.
func widest(piece string, texts int) *proto.Audit {
	filled := func(n int) string { return strings.Repeat(piece, n/len(piece)) }
	a := request("widest")
	a.Phase, a.Path, a.Reason = proto.PhaseEnd, filled(200), filled(200)
	for range 128 {
		a.FinishReasons = append(a.FinishReasons, filled(200))
	}
	for i := range 500 {
		a.ToolCalls = append(a.ToolCalls, proto.ToolCall{Name: fmt.Sprintf("%03d", i) + filled(197), ID: filled(200), Verdict: proto.DecisionBlocked})
	}
	for range 200 {
		a.Findings = append(a.Findings, proto.Finding{Rule: "dangerous-command", Severity: proto.SeverityHigh, Where: "tool_call", Enforced: true})
	}
	for i := range texts {
		a.Prompt = append(a.Prompt, proto.Message{Role: "assistant", Text: fmt.Sprintf("%05d", i) + filled(64<<10/texts)})
	}
	a.Answer = filled(64 << 10)
	return a
}

// A record that is too large as JSON loses detail, and says so.
func TestAppendAuditFits(t *testing.T) {
	s := openSpool(t, t.TempDir())
	defer closeSpool(t, s)
	for _, piece := range []string{"<", "\x00", "\u2028", "ä", "a"} {
		for _, texts := range []int{1, 50, 20000} {
			t.Run(fmt.Sprintf("%q in %d texts", piece, texts), func(t *testing.T) {
				a := widest(piece, texts)
				before, err := json.Marshal(a)
				if err != nil {
					t.Fatal(err)
				}
				if err := s.AppendAudit(a); err != nil {
					t.Fatal(err)
				}
				payload, err := encodeAudit(a)
				if err != nil || len(payload) > MaxRecord {
					t.Fatalf("%d bytes of JSON, %v", len(payload), err)
				}
				var got proto.Audit
				if err := json.Unmarshal(payload, &got); err != nil {
					t.Fatal(err)
				}
				if len(got.ToolCalls) != 500 || len(got.FinishReasons) != 128 || len(got.Findings) != 200 || got.ID != a.ID || got.Phase != a.Phase {
					t.Fatalf("%d calls, %d reasons, %d findings", len(got.ToolCalls), len(got.FinishReasons), len(got.Findings))
				}
				for i, call := range got.ToolCalls {
					want := a.ToolCalls[i].Name
					if call.Verdict != proto.DecisionBlocked || call.Name != want &&
						(!strings.HasSuffix(call.Name, "…") || !strings.HasPrefix(want, strings.TrimSuffix(call.Name, "…"))) {
						t.Fatalf("call %d is %+v", i, call)
					}
				}
				if len(before) <= MaxRecord {
					return
				}
				if len(payload) < MaxRecord*3/4 {
					t.Errorf("%d bytes are left of %d", len(payload), len(before))
				}
				kept := len(got.Prompt) == len(a.Prompt) && reflect.DeepEqual(got.Prompt, a.Prompt)
				if marked := len(got.Prompt) > 0 && strings.Contains(got.Prompt[0].Text, "earlier texts left out)"); !kept && !marked {
					t.Errorf("a prompt of %d texts, %d before, without a note", len(got.Prompt), len(a.Prompt))
				}
				if got.Answer != a.Answer && !strings.HasSuffix(got.Answer, " bytes left out)") {
					t.Error("the answer is cut without a note")
				}
				if again, err := json.Marshal(a); err != nil || string(again) != string(before) {
					t.Errorf("the record itself has changed, or %v", err)
				}
			})
		}
	}
}

// A text is cut as late as possible, and never over the bound.
func TestFitText(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	pieces := []string{"<", "a", "ä", "\n", "\x01", "€", `"`, "\u2028", "😀"}
	for range 200 {
		var text strings.Builder
		for range 1 + random.IntN(50) {
			text.WriteString(pieces[random.IntN(len(pieces))])
		}
		room := random.IntN(encodedSize(text.String()) + 5)
		got, note, cut := strings.Cut(fitText(text.String(), room), "… (")
		if !cut && got != text.String() || !strings.HasPrefix(text.String(), got) || cut && (encodedSize(got) > max(2, room) || !strings.HasSuffix(note, " bytes left out)")) {
			t.Fatalf("%q in %d bytes of JSON is %q", text.String(), room, got)
		}
	}
}
