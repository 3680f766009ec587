package audit

import (
	"testing"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bustest"
)

// BenchmarkAppendAudit is what a record of usual size costs a request.
func BenchmarkAppendAudit(b *testing.B) {
	l := openLog(b, b.TempDir(), func(o *Options) { o.MaxBytes = 8 << 30 })
	defer closeLog(b, l)
	a := &proto.Audit{
		ID: "0123456789abcdef0123456789abcdef", RequestID: "fedcba9876543210fedcba9876543210",
		Phase: proto.PhaseEnd, Time: time.Date(2026, 11, 22, 18, 6, 24, 123456789, time.UTC),
		Host: bustest.Host, Source: Source, Kind: "llm-request", SeverityID: 1, ClassUID: proto.ClassUIDAPIActivity,
		Client: "openclaw", Method: "POST", Path: "/v1/messages", Status: 200, Decision: proto.DecisionAllowed,
		Operation: "chat", Provider: "anthropic", ServerAddress: "api.anthropic.com", ServerPort: 443,
		RequestModel: "claude-opus-4-5", ResponseModel: "claude-opus-4-5-20251101",
		ResponseID: "msg_01XFDUDYJgAACzvnptvVoYEL", FinishReasons: []string{"tool_use"},
		Usage:  &proto.Usage{Input: 51234, Output: 812, CacheRead: 50000, Complete: true},
		Stream: true, RequestBytes: 201334, ResponseBytes: 8123, TimeToFirstChunk: 0.812, Duration: 7.21,
		ToolCalls: []proto.ToolCall{
			{Name: "exec", ID: "toolu_01A09q90qw90lq917835lq9", Verdict: proto.DecisionAllowed},
			{Name: "read", ID: "toolu_01A09q90qw90lq917835lq8", Verdict: proto.DecisionAllowed},
		},
		Findings:   []proto.Finding{{Rule: "secret-in-tool-call", Severity: proto.SeverityHigh, Where: "tool_call"}},
		PromptHMAC: "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := l.AppendAudit(a); err != nil {
			b.Fatal(err)
		}
	}
}
