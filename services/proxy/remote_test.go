package proxy

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/proxy/internal/detect"
)

// What is text for the model is text for the guard, whichever way it is sent.
func TestGuardReadsAttachments(t *testing.T) {
	const order = "please say the word sesame to everybody"
	data := base64.StdEncoding.EncodeToString([]byte(order))
	for name, test := range map[string]struct{ path, body string }{
		"gemini":    {"/v1beta/models/gemini-2.5-pro:generateContent", `{"contents":[{"role":"user","parts":[{"inlineData":{"mimeType":"text/plain","data":"` + data + `"}}]}]}`},
		"responses": {"/v1/responses", `{"model":"gpt-5","input":[{"role":"user","content":[{"type":"input_file","filename":"a.txt","file_data":"data:text/plain;base64,` + data + `"}]}]}`},
		"chat":      {"/v1/chat/completions", `{"model":"m","messages":[{"role":"user","content":[{"type":"file","file":{"filename":"a.txt","file_data":"data:text/plain;base64,` + data + `"}}]}]}`},
		"messages":  {"/v1/messages", `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":[{"type":"document","source":{"type":"base64","media_type":"text/plain","data":"` + data + `"}}]}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			r := newSolo(t, nil, func(c *Config) { use(c, startGuard(t, blockWith("sesame", "the word")).url) })
			if got := r.post(test.path, test.body); got.status != http.StatusBadRequest {
				t.Errorf("status %d: %s", got.status, got.body)
			}
			if a := r.final(); a.Decision != proto.DecisionBlocked {
				t.Errorf("record %+v", a)
			}
		})
	}
}

func TestRemoteContentIsRecorded(t *testing.T) {
	const body = `{"model":"gpt-5","input":[{"role":"user","content":[{"type":"input_file","file_url":"https://evil.example/x.txt"}]}]}`
	want := proto.Finding{Rule: detect.RemoteContent, Severity: proto.SeverityMedium, Where: detect.InRequest, Detail: `a URL, "evil.example"`}
	r := newSolo(t, nil, nil)
	for range 2 {
		if got := r.post("/v1/responses", body); got.status != http.StatusOK {
			t.Fatalf("status %d: %s", got.status, got.body)
		}
		if a := r.final(); len(a.Findings) != 1 || a.Findings[0] != want {
			t.Errorf("record of %+v", a.Findings)
		}
	}
	m := r.proxy.records.spool.(*memory)
	if len(m.alerts) != 1 || m.alerts[0].Severity != proto.SeverityMedium || !strings.Contains(m.alerts[0].Title, `"evil.example"`) {
		t.Errorf("alerts %+v", m.alerts)
	}

	r = newSolo(t, nil, func(c *Config) { c.Detections = detect.Modes{detect.RemoteContent: detect.Enforce} })
	if got := r.post("/v1/responses", body); got.status != http.StatusBadRequest || !strings.Contains(got.body, "remote-content") {
		t.Errorf("enforced: %d %s", got.status, got.body)
	}
	if a := r.final(); a.Decision != proto.DecisionBlocked {
		t.Errorf("enforced: %+v", a)
	}
}

// What a batch or an interaction names is recorded.
func TestStoredContentIsRecorded(t *testing.T) {
	for name, test := range map[string]struct{ path, body, detail string }{
		"OpenAI's batch": {"/v1/batches", `{"input_file_id":"file-9","endpoint":"/v1/responses","completion_window":"24h"}`, `a stored file, "file-9"`},
		"Gemini's batch": {"/v1beta/models/m:batchGenerateContent", `{"batch":{"inputConfig":{"fileName":"files/f9"}}}`, `a stored file, "files/f9"`},
		"an interaction": {"/v1beta/interactions", `{"model":"m","input":"hi","previous_interaction_id":"v1_9"}`, `an earlier response, "v1_9"`},
	} {
		t.Run(name, func(t *testing.T) {
			r := newSolo(t, answering(http.StatusOK, "application/json", "{}"), nil)
			if got := r.send("POST", test.path, "application/json", test.body); got.status != http.StatusOK {
				t.Fatalf("%d %s", got.status, got.body)
			}
			if a := r.final(); len(a.Findings) != 1 || a.Findings[0].Detail != test.detail {
				t.Errorf("record of %+v", a.Findings)
			}
		})
	}
}

// The guard is asked about what is uploaded.
func TestGuardReadsUploads(t *testing.T) {
	for name, content := range map[string]string{
		"text":     "some words\nplease say the word sesame\n",
		"requests": `{"custom_id":"a","body":{"model":"m","input":"please say the word \u0073esame"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			r := newSolo(t, answering(http.StatusOK, "application/json", "{}"), func(c *Config) { use(c, startGuard(t, blockWith("sesame", "the word")).url) })
			body, kind := uploadOf(t, "user_data", "a.txt", content)
			if got := r.send("POST", "/v1/files", kind, body); got.status != http.StatusBadRequest {
				t.Errorf("status %d: %s", got.status, got.body)
			}
			if a := r.final(); a.Decision != proto.DecisionBlocked || a.Guard == nil {
				t.Errorf("record %+v", a)
			}
		})
	}
}
