package index_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/audit"
)

// calls are n calls of tools that no request has called before.
func calls(request, n int) []proto.ToolCall {
	var list []proto.ToolCall
	for i := range n {
		list = append(list, proto.ToolCall{Name: fmt.Sprintf("helper_%04d_%d", i, request), ID: fmt.Sprintf("call_%d", i), Verdict: proto.DecisionAllowed})
	}
	return list
}

// A request takes a bounded part of the index, however many tools it makes up and
// models it asks for.
func TestRequestTakesABoundedPart(t *testing.T) {
	const requests, limit = 100, 48 << 10 // bytes
	x, path := open(t)
	var l tape
	for i := range requests {
		a := end(fmt.Sprint("r", i), noon.Add(time.Duration(i)*time.Hour))
		a.RequestModel = fmt.Sprint("model-", i)
		a.ToolCalls = calls(i, 500)
		l.add(t, start(a.RequestID, a.Time))
		l.add(t, a)
	}
	fill(t, x, l)
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if each := info.Size() / requests; each > limit {
		t.Errorf("%d bytes for each request, want %d at most", each, limit)
	} else {
		t.Logf("%d bytes for each request", each)
	}
}

func TestToolsBeyondTheBound(t *testing.T) {
	x, _ := open(t)
	var l tape
	known := end("known", noon)
	known.ToolCalls = []proto.ToolCall{{Name: "exec", Verdict: proto.DecisionAllowed}, {Name: "read", Verdict: proto.DecisionAllowed}}
	l.add(t, known)
	flood := end("flood", noon)
	flood.ToolCalls = append(calls(0, 300), proto.ToolCall{Name: "exec", ID: "last", Verdict: proto.DecisionBlocked})
	l.add(t, flood)
	few := end("few", noon)
	few.ToolCalls = calls(1, 16)
	l.add(t, few)
	fill(t, x, l)

	count := make(map[string]int64)
	tools, err := x.Tools(t.Context(), audit.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range tools {
		count[tool.Tool] = tool.Calls
	}
	if len(count) != 2+16+1+16 || count["exec"] != 2 || count["(other tools)"] != 300-16 || count["helper_0015_1"] != 1 || count["helper_0016_0"] != 0 {
		t.Errorf("%d tools, %d times exec, %d other calls", len(count), count["exec"], count["(other tools)"])
	}
	// The known tool is found, though it comes last.
	for tool, want := range map[string]int{"exec": 2, "(other tools)": 1} {
		found := 0
		for _, err := range x.List(t.Context(), audit.Filter{Tool: tool}, audit.Order{}) {
			if err != nil {
				t.Fatal(err)
			}
			found++
		}
		if found != want {
			t.Errorf("%d requests have called %s, want %d", found, tool, want)
		}
	}
}
