// Package records makes audit records for the auditor's benchmarks, with the fields
// and sizes of what the proxy writes: the same ones in every run.
package records

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/testing/bustest"
)

// Host is the host that records name, and that the roles of a test bus are for.
const Host = bustest.Host

// days are how many days requests are spread over.
const days = 90

// Record is a record as the proxy publishes it.
type Record struct {
	Seq     uint64 // from 1
	ID      string
	Time    time.Time // of the request
	Payload []byte
}

// Generator makes the records of requests, two of each.
type Generator struct {
	random   *rand.Rand
	begin    time.Time
	interval time.Duration // between requests
	n        uint64
	end      *proto.Audit // of the request whose start was the last record
}

// New returns a generator whose first n records fill three months.
func New(n int) *Generator {
	return &Generator{
		random: rand.New(rand.NewPCG(1, 2)),
		// In the past, so that no request is of the future.
		begin:    time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -days),
		interval: days * 24 * time.Hour / time.Duration(max(n/2, 1)),
	}
}

func pick[T any](random *rand.Rand, of ...T) T { return of[random.IntN(len(of))] }

// Next returns the next record.
func (g *Generator) Next() (Record, error) {
	a := g.end
	if a == nil {
		a = g.request()
	} else {
		g.end = nil
	}
	payload, err := json.Marshal(a)
	if err != nil {
		return Record{}, err
	}
	g.n++
	return Record{Seq: g.n, ID: a.ID, Time: a.Time, Payload: payload}, nil
}

// request begins a request: it returns the record of its start and prepares that of
// its end, with the fields and sizes of what the proxy writes.
func (g *Generator) request() *proto.Audit {
	r := g.random
	word := func() string { return strconv.FormatUint(r.Uint64(), 36) }
	id := fmt.Sprintf("%016x%016x", r.Uint64(), r.Uint64())
	model := pick(r, "claude-sonnet-4-5", "claude-haiku-4-5", "gpt-5-mini", "gemini-2.5-flash")
	start := proto.Audit{
		ID: proto.AuditID(id, proto.PhaseStart), RequestID: id, Phase: proto.PhaseStart,
		Time: g.begin.Add(g.interval * time.Duration(g.n/2)),
		Host: Host, Source: bus.RoleProxy, Kind: "request", Severity: proto.SeverityInfo, SeverityID: proto.SeverityInfo.ID(), ClassUID: proto.ClassUIDAPIActivity,
		Client: pick(r, "agent", "agent", "agent", "192.0.2.10"), Method: "POST", Path: "/v1/messages",
		Operation: "chat", Provider: "anthropic", ServerAddress: "api.anthropic.com", ServerPort: 443,
		RequestModel: model, Stream: true, RequestBytes: 20_000 + r.Int64N(80_000),
		PromptHMAC: fmt.Sprintf("%016x%016x%016x%016x", r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64()),
	}
	end := start
	end.ID, end.Phase = proto.AuditID(id, proto.PhaseEnd), proto.PhaseEnd
	end.Status, end.Decision = 200, pick(r, proto.DecisionAllowed, proto.DecisionAllowed, proto.DecisionAllowed, proto.DecisionBlocked)
	end.ResponseModel, end.ResponseID, end.FinishReasons = model+"-20250929", "msg_"+word()+word(), []string{"tool_use"}
	end.Usage = &proto.Usage{
		Input: 1000 + r.Int64N(50_000), Output: r.Int64N(4000), CacheRead: r.Int64N(1000), CacheCreation: r.Int64N(1000), Complete: true,
	}
	end.ResponseBytes, end.TimeToFirstChunk, end.Duration = r.Int64N(40_000), r.ExpFloat64(), 1+3*r.ExpFloat64()
	for range r.IntN(4) {
		end.ToolCalls = append(end.ToolCalls, proto.ToolCall{
			Name: pick(r, "exec", "read", "write", "browser", "search", "mail"), ID: "toolu_" + word() + word(), Verdict: end.Decision,
		})
	}
	end.Guard = &proto.Guard{Score: r.Float64(), Threshold: .8}
	g.end = &end
	return &start
}
