package spool

import (
	"bytes"
	"testing"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/testing/bustest"
)

// BenchmarkAppendAudit is what a record of usual size costs a request.
func BenchmarkAppendAudit(b *testing.B) {
	s := openSpool(b, b.TempDir(), func(o *Options) { o.MaxBytes = 8 << 30 })
	defer closeSpool(b, s)
	a := &proto.Audit{
		ID: "0123456789abcdef0123456789abcdef", RequestID: "fedcba9876543210fedcba9876543210",
		Phase: proto.PhaseEnd, Time: time.Date(2026, 11, 22, 18, 6, 24, 123456789, time.UTC),
		Host: bustest.Host, Source: Source, Kind: "request", SeverityID: 1, ClassUID: proto.ClassUIDAPIActivity,
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
		if err := s.AppendAudit(a); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAppend is what it costs to append a record of 1.5 KB.
func BenchmarkAppend(b *testing.B) {
	for _, parallel := range []bool{false, true} {
		b.Run(map[bool]string{false: "alone", true: "parallel"}[parallel], func(b *testing.B) {
			o := defaults(b.TempDir())
			o.MaxBytes = 4 << 30
			s := opened(b, o)
			r := record{Subject: subject, ID: "0123456789abcdef0123456789abcdef", Payload: bytes.Repeat([]byte{'x'}, 1500)}
			b.SetBytes(int64(len(r.Payload)))
			b.ReportAllocs()
			if !parallel {
				for b.Loop() {
					if err := s.Append(r); err != nil {
						b.Fatal(err)
					}
				}
				return
			}
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := s.Append(r); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}
