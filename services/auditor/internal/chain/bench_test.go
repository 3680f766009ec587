package chain

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

// auditRecord has the size and the look of what the proxy sends.
func auditRecord(n uint64) Record {
	id := fmt.Sprintf("%032x", n*0x9e3779b97f4a7c15)
	text := fmt.Sprintf(`{"id":"%s","request_id":"%x","phase":"end","time":"2026-03-01T12:00:00.%09dZ","host":"openclaw","source":"llm-proxy",`+
		`"kind":"llm_request","severity":"info","severity_id":1,"class_uid":6003,"client":"127.0.0.1","http.request.method":"POST",`+
		`"url.path":"/v1/messages","http.response.status_code":200,"decision":"allowed","gen_ai.operation.name":"chat",`+
		`"gen_ai.provider.name":"anthropic","server.address":"api.anthropic.com","server.port":443,"gen_ai.request.model":"claude-sonnet-4-5",`+
		`"gen_ai.response.id":"msg_%x","gen_ai.response.finish_reasons":["tool_use"],"usage":{"gen_ai.usage.input_tokens":%d,`+
		`"gen_ai.usage.output_tokens":%d,"usage_complete":true},"stream":true,"request_bytes":%d,"response_bytes":%d,"duration":%d.25,`+
		`"tool_calls":[{"gen_ai.tool.name":"Bash","gen_ai.tool.call.id":"toolu_%x","verdict":"allowed"}],"prompt_hmac":"%s"}`,
		id, n*31, n%1e9, n*77, n%20000, n%900, n%90000, n%9000, n%30, n*91, strings.Repeat(id, 2)[:64])
	return Record{ID: id, StreamSeq: n, Stored: time.Unix(1772366400, int64(n)).UTC(), Payload: []byte(text)}
}

const benchBatch = 512

func benchLog(b *testing.B, n int) (*Log, string) {
	b.Helper()
	o := options(b.TempDir())
	l := mustOpen(b, o)
	batch := make([]Record, benchBatch)
	for at := 0; at < n; at += benchBatch {
		for i := range batch {
			batch[i] = auditRecord(uint64(at + i + 1))
		}
		mustAppend(b, l, batch...)
	}
	return l, o.Dir
}

func BenchmarkAppend(b *testing.B) {
	l, _ := benchLog(b, 0)
	batch := make([]Record, benchBatch)
	n := uint64(0)
	for b.Loop() {
		b.StopTimer()
		size := 0
		for i := range batch {
			n++
			batch[i] = auditRecord(n)
			size += len(batch[i].Payload)
		}
		b.SetBytes(int64(size))
		b.StartTimer()
		left, err := l.Missing(batch)
		if err != nil || len(left) != len(batch) {
			b.Fatal(err)
		}
		mustAppend(b, l, left...)
	}
	b.ReportMetric(float64(benchBatch)*float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

func BenchmarkVerify(b *testing.B) {
	const n = 200 << 10
	l, dir := benchLog(b, n)
	mustClose(b, l)
	var size int64
	files, err := listSegments(dir)
	if err != nil {
		b.Fatal(err)
	}
	for _, f := range files {
		size += f.size
	}
	run := func(b *testing.B) {
		b.SetBytes(size) // of lines, however they are kept
		for b.Loop() {
			r, err := Verify(context.Background(), dir, VerifyOptions{})
			if err != nil || !r.OK() || r.Records != n {
				b.Fatalf("%+v, %v", r, err)
			}
			b.ReportMetric(float64(r.Bytes)/n, "disk-B/record")
		}
	}
	b.Run("plain", run)
	l = mustOpen(b, Options{Dir: dir, Now: l.now, Log: l.log})
	if err := l.Tidy(context.Background()); err != nil {
		b.Fatal(err)
	}
	mustClose(b, l)
	b.Run("compressed", run)
}

func BenchmarkScan(b *testing.B) {
	const n = 64 << 10
	l, dir := benchLog(b, n)
	mustClose(b, l)
	for b.Loop() {
		count := 0
		for _, err := range Scan(dir, 1) {
			if err != nil {
				b.Fatal(err)
			}
			count++
		}
		if count != n {
			b.Fatal(count)
		}
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

func BenchmarkOpen(b *testing.B) {
	const n = 128 << 10
	l, dir := benchLog(b, n)
	if err := l.Tidy(context.Background()); err != nil {
		b.Fatal(err)
	}
	mustClose(b, l)
	for b.Loop() {
		mustClose(b, mustOpen(b, Options{Dir: dir, Now: l.now, Log: l.log}))
	}
}
