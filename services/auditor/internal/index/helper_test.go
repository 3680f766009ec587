package index_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/auditor/internal/index"
)

// noon is when the tests take place.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func open(t testing.TB) (*index.Index, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "audit.sqlite")
	return reopen(t, path, index.Options{}), path
}

func reopen(t testing.TB, path string, o index.Options) *index.Index {
	t.Helper()
	o.Now = func() time.Time { return noon }
	x, err := index.Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	})
	return x
}

// tape is a log in the making.
type tape []index.Record

func (l *tape) raw(payload string) {
	seq := uint64(len(*l) + 1)
	*l = append(*l, index.Record{Seq: seq, Head: fmt.Sprintf("head %d", seq), StreamSeq: seq, Stored: noon, Payload: []byte(payload)})
}

func (l *tape) add(t testing.TB, a proto.Audit) {
	t.Helper()
	payload, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	l.raw(string(payload))
}

// start is the record of a request's start.
func start(id string, at time.Time) proto.Audit {
	return proto.Audit{
		ID: proto.AuditID(id, proto.PhaseStart), RequestID: id, Phase: proto.PhaseStart, Time: at,
		Host: "box1", Source: "proxy", Kind: "request", SeverityID: 1, ClassUID: proto.ClassUIDAPIActivity,
		Client: "agent", Method: "POST", Path: "/v1/messages", Operation: "chat", Provider: "anthropic",
		ServerAddress: "api.anthropic.com", ServerPort: 443, RequestModel: "claude-sonnet-4-5", RequestBytes: 1000,
	}
}

// end is the record of its end.
func end(id string, at time.Time) proto.Audit {
	a := start(id, at)
	a.ID, a.Phase = proto.AuditID(id, proto.PhaseEnd), proto.PhaseEnd
	a.Status, a.Decision, a.ResponseModel = 200, proto.DecisionAllowed, "claude-sonnet-4-5-20250929"
	a.Usage = &proto.Usage{Input: 1000, Output: 100, CacheRead: 600, Reasoning: 10, Complete: true}
	a.Duration, a.TimeToFirstChunk = 2, .5
	return a
}

func fill(t testing.TB, x *index.Index, l tape) {
	t.Helper()
	if err := x.Add(t.Context(), l); err != nil {
		t.Fatal(err)
	}
}

// synthesize calls take with batches of 1024 of the records of n requests that
// came in over 90 days.
func synthesize(n int, take func([]index.Record)) {
	random := rand.New(rand.NewPCG(1, 2))
	models := []string{"claude-sonnet-4-5-20250929", "gpt-5-mini", "gemini-2.5-flash-lite", "llama3:8b"}
	clients := []string{"agent", "192.0.2.10"}
	decisions := []string{"allowed", "allowed", "allowed", "allowed", "allowed", "allowed", "blocked", "failed"}
	tools := []string{"exec", "read", "write", "browser", "search", "mail"}
	begin := noon.Add(-90 * 24 * time.Hour)
	var batch []index.Record
	var seq uint64
	add := func(payload []byte) {
		seq++
		batch = append(batch, index.Record{Seq: seq, Head: "head", StreamSeq: seq, Stored: begin, Payload: payload})
		if len(batch) == 1024 {
			take(batch)
			batch = nil
		}
	}
	for i := range n {
		at := begin.Add(90 * 24 * time.Hour / time.Duration(n) * time.Duration(i)).Format(time.RFC3339Nano)
		id := fmt.Sprintf("%016x", random.Uint64())
		model, client := models[random.IntN(len(models))], clients[random.IntN(len(clients))]
		common := fmt.Sprintf(`"request_id":"%s","time":"%s","host":"box1","source":"proxy","kind":"request","severity":"info","severity_id":1,`+
			`"class_uid":6003,"client":"%s","http.request.method":"POST","url.path":"/v1/messages","gen_ai.operation.name":"chat",`+
			`"gen_ai.provider.name":"anthropic","server.address":"api.anthropic.com","server.port":443,"gen_ai.request.model":"%s","stream":true,"request_bytes":48213`,
			id, at, client, model)
		add(fmt.Appendf(nil, `{"id":"%s0123456789abcdef","phase":"start",%s}`, id, common))
		call := ""
		if random.IntN(2) == 0 {
			call = fmt.Sprintf(`"tool_calls":[{"gen_ai.tool.name":"%s","gen_ai.tool.call.id":"toolu_01H8nKq2vPzRwXy4TbJmCdEs","verdict":"allowed"}],`, tools[random.IntN(len(tools))])
		}
		add(fmt.Appendf(nil, `{"id":"%sfedcba9876543210","phase":"end",%s,"http.response.status_code":200,"decision":"%s","gen_ai.response.model":"%s",`+
			`"gen_ai.response.id":"msg_01Qm7RkVtX3bYpLcZs9dWfGh","gen_ai.response.finish_reasons":["tool_use"],"usage":{"gen_ai.usage.input_tokens":%d,`+
			`"gen_ai.usage.output_tokens":%d,"gen_ai.usage.cache_read.input_tokens":%d,"usage_complete":true},"response_bytes":2964,`+
			`"gen_ai.response.time_to_first_chunk":%.6f,"duration":%.6f,%s"guard":{"score":0.12,"threshold":0.8},"prompt_hmac":"cf07194ee232eb531e15f690000d19846dea69cf05504782658afcfacb9228a2"}`,
			id, common, decisions[random.IntN(len(decisions))], model, 1000+random.IntN(50_000), random.IntN(4000), random.IntN(1000),
			random.ExpFloat64(), 1+3*random.ExpFloat64(), call))
	}
	if len(batch) > 0 {
		take(batch)
	}
}
