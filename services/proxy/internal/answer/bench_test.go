package answer_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/services/proxy/internal/answer"
	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

// BenchmarkText is the cost of one event of text, with everything watched for.
func BenchmarkText(b *testing.B) {
	for _, tt := range []struct {
		name  string
		api   llmapi.API
		event string
	}{
		{"messages", llmapi.Messages, "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hello there,\\n\"}}\n\n"},
		{"chat", llmapi.ChatCompletions, "data: {\"id\":\"chatcmpl-B9\",\"object\":\"chat.completion.chunk\",\"created\":1741570283,\"model\":\"gpt-4.1-2025-04-14\",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_44709d6fcb\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello there,\"},\"logprobs\":null,\"finish_reason\":null}],\"usage\":null}\n\n"},
		{"responses", llmapi.Responses, "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":4,\"item_id\":\"msg_1\",\"output_index\":0,\"content_index\":0,\"delta\":\"Hello there,\",\"logprobs\":[]}\n\n"},
		{"gemini", llmapi.GenerateContent, "data: {\"candidates\": [{\"content\": {\"parts\": [{\"text\": \"Hello there,\"}],\"role\": \"model\"},\"index\": 0}],\"usageMetadata\": {\"promptTokenCount\": 60,\"candidatesTokenCount\": 2,\"totalTokenCount\": 77},\"modelVersion\": \"gemini-2.5-flash\",\"responseId\": \"kVwAacq\"}\r\n\r\n"},
	} {
		b.Run(tt.name, func(b *testing.B) {
			const events = 1000
			body := strings.Repeat(tt.event, events)
			o := answer.Options{API: tt.api, Stream: true, Judge: allow, Text: func(answer.Text) func([]byte) error { return func([]byte) error { return nil } }, Forbidden: [][]byte{[]byte(secret + strings.Repeat("x", 80)), []byte("canary-5f3a")}}
			b.SetBytes(int64(len(tt.event)))
			b.ReportAllocs()
			buf := make([]byte, 32<<10)
			for left := b.N; left > 0; left -= events {
				r := answer.NewReader(strings.NewReader(body[:min(left, events)*len(tt.event)]), o)
				for {
					if _, err := r.Read(buf); err == io.EOF {
						break
					} else if err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

// BenchmarkAnswer is the cost of whole answers.
func BenchmarkAnswer(b *testing.B) {
	for _, g := range goldens() {
		b.Run(g.file, func(b *testing.B) {
			data := g.data(b)
			o := answer.Options{API: g.api, Stream: true, Judge: allow, Forbidden: [][]byte{[]byte(secret)}}
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := io.Copy(io.Discard, answer.NewReader(bytes.NewReader(data), o)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
