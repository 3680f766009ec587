package proxy

import (
	"net/http"
	"testing"
)

// Tokens of an answer that is stored are counted once, however often it is read.
func TestStoredAnswersCountOnce(t *testing.T) {
	const (
		whole      = `{"id":"resp_1","object":"response","status":"completed","model":"m","output":[],"usage":{"input_tokens":10,"output_tokens":5}}`
		queued     = `{"id":"resp_1","object":"response","status":"queued","background":true,"model":"m","output":[],"usage":null}`
		background = `{"id":"resp_1","object":"response","status":"completed","background":true,"model":"m","output":[],"usage":{"input_tokens":10,"output_tokens":5}}`
		brokenOff  = `{"id":"resp_1","object":"response","status":"in_progress","model":"m","output":[]}`
		line       = `{"response":{"body":{"id":"c","model":"m","choices":[],"usage":{"prompt_tokens":10,"completion_tokens":5}}}}`
	)
	const create, read, results = "POST /v1/responses", "GET /v1/responses/resp_1", "GET /v1/files/f/content"
	type step struct{ request, answer string }
	tests := []struct {
		name   string
		steps  []step
		counts string // of the records: + for a usage that counts, = for one that is stored, - for none
	}{
		{"an answer", []step{{create, whole}, {read, whole}, {read, whole}, {"POST /v1/responses/resp_1/cancel", whole}}, "+==="},
		{"in the background", []step{{create, queued}, {read, queued}, {read, background}, {read, background}}, "--+="},
		{"in the background, after a restart", []step{{read, background}, {read, background}}, "+="},
		{"an answer, after a restart", []step{{read, whole}, {read, whole}}, "=="},
		{"an answer that broke off", []step{{create, brokenOff}, {read, whole}, {read, whole}}, "-+="},
		{"results", []step{{results, line + "\n" + line}, {results, line + "\n" + line}}, "+="},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := new(anyServer)
			r := newAnyRig(t, s, nil)
			for _, step := range tt.steps {
				s.mu.Lock()
				s.answer = step.answer
				s.mu.Unlock()
				var method, path string
				for i, c := range step.request {
					if c == ' ' {
						method, path = step.request[:i], step.request[i+1:]
					}
				}
				body, kind := "", ""
				if method == http.MethodPost {
					body, kind = `{"model":"m","input":"hi"}`, "application/json"
				}
				if got := r.send(method, path, kind, body); got.status != 200 {
					t.Fatalf("%d %s", got.status, got.body)
				}
			}
			var counts []byte
			for i, a := range r.audits(2 * len(tt.steps)) {
				switch {
				case i%2 == 0:
				case a.Usage == nil:
					counts = append(counts, '-')
				case a.Usage.Stored:
					counts = append(counts, '=')
				default:
					counts = append(counts, '+')
				}
			}
			if string(counts) != tt.counts {
				t.Errorf("counted %s, want %s", counts, tt.counts)
			}
		})
	}
}
