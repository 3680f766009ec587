package webhook_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/notifier/internal/sink"
	"github.com/openclaw-security/bus/services/notifier/internal/sink/webhook"
	"github.com/openclaw-security/bus/services/testing/configtest"
)

var at = time.Date(2026, 11, 22, 7, 9, 3, 0, time.UTC)

func alert() (*proto.Event, []byte) {
	e := &proto.Event{ID: strings.Repeat("ab", 16), Time: at, Host: "box1", Source: "suricata", Kind: "alert", Title: "a \"title\""}
	e.SetSeverity(proto.SeverityHigh)
	return e, e.AppendJSON(nil)
}

// receiver answers every request alike and keeps the last one.
type receiver struct {
	*httptest.Server
	header http.Header
	body   []byte
}

func receive(t *testing.T, answer func(http.ResponseWriter)) *receiver {
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.header = req.Header
		r.body, _ = io.ReadAll(req.Body)
		answer(w)
	}))
	t.Cleanup(r.Close)
	return r
}

func deliver(t *testing.T, url string, s webhook.Settings) error {
	t.Helper()
	s.URL = config.NewSecret(url)
	e, payload := alert()
	return webhook.New(s, func() time.Time { return at }).Deliver(t.Context(), e, payload, false)
}

func TestPostsThePayloadSigned(t *testing.T) {
	r := receive(t, func(http.ResponseWriter) {})
	if err := deliver(t, r.URL, webhook.Settings{Secret: config.NewSecret("s3cret"), Format: webhook.FormatJSON}); err != nil {
		t.Fatal(err)
	}
	e, payload := alert()
	if string(r.body) != string(payload) || r.header.Get("Content-Type") != "application/json" {
		t.Errorf("got %s: %s", r.header.Get("Content-Type"), r.body)
	}
	if id, stamp := r.header.Get("Webhook-Id"), r.header.Get("Webhook-Timestamp"); id != e.ID || stamp != "1795331343" {
		t.Errorf("id %q at %q", id, stamp)
	}
	// Computed apart: printf '%s.1795331343.%s' "$id" "$body" | openssl dgst -sha256 -hmac s3cret -binary | base64
	if got, want := r.header.Get("Webhook-Signature"), "v1,"+webhook.Signature("s3cret", e.ID, "1795331343", payload); got != want {
		t.Errorf("signature %q, want %q", got, want)
	}
	if r.header.Get("Webhook-May-Repeat") != "" {
		t.Error("marked as a repetition")
	}
}

// The example of the specification
// (https://github.com/standard-webhooks/standard-webhooks, spec, "Signature scheme").
func TestSignatureOfTheStandard(t *testing.T) {
	got := webhook.Signature("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", []byte(`{"test": 2432232314}`))
	if want := "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestUnsignedWithoutASecret(t *testing.T) {
	r := receive(t, func(http.ResponseWriter) {})
	if err := deliver(t, r.URL, webhook.Settings{Format: webhook.FormatJSON}); err != nil {
		t.Fatal(err)
	}
	if s := r.header.Get("Webhook-Signature"); s != "" {
		t.Errorf("signature %q", s)
	}
}

func TestCloudEvent(t *testing.T) {
	r := receive(t, func(http.ResponseWriter) {})
	if err := deliver(t, r.URL, webhook.Settings{Format: webhook.FormatCloudEvents}); err != nil {
		t.Fatal(err)
	}
	var got map[string]json.RawMessage
	if err := json.Unmarshal(r.body, &got); err != nil {
		t.Fatal(err)
	}
	e, payload := alert()
	for name, want := range map[string]string{
		"specversion": `"1.0"`,
		"id":          `"` + e.ID + `"`,
		"source":      `"/openclaw-security/box1/suricata"`,
		"type":        `"openclaw.security.alert"`,
		"subject":     `"security.alert.box1.suricata.alert.high"`,
		"time":        `"2026-11-22T07:09:03Z"`,
		"data":        string(payload),
	} {
		if string(got[name]) != want {
			t.Errorf("%s is %s, want %s", name, got[name], want)
		}
	}
}

func TestAnswers(t *testing.T) {
	tests := []struct {
		name   string
		answer func(http.ResponseWriter)
		class  sink.Class
		after  time.Duration
	}{
		{"busy", func(w http.ResponseWriter) { w.Header().Set("Retry-After", "7"); w.WriteHeader(429) }, sink.NotSent, 7 * time.Second},
		{"unavailable", func(w http.ResponseWriter) { w.WriteHeader(503) }, sink.NotSent, 0},
		{"patience without end", func(w http.ResponseWriter) { w.Header().Set("Retry-After", "999999999"); w.WriteHeader(429) }, sink.NotSent, time.Hour},
		{"failed", func(w http.ResponseWriter) { w.WriteHeader(500) }, sink.Ambiguous, 0},
		{"not taken", func(w http.ResponseWriter) { w.WriteHeader(422) }, sink.Refused, 0},
		{"unauthorized", func(w http.ResponseWriter) { w.WriteHeader(401) }, sink.Broken, 0},
		{"gone", func(w http.ResponseWriter) { w.WriteHeader(410) }, sink.Broken, 0},
		{"sent elsewhere", func(w http.ResponseWriter) { w.Header().Set("Location", "http://elsewhere/"); w.WriteHeader(307) }, sink.Broken, 0},
		{"cut off", func(w http.ResponseWriter) {
			if c, _, err := w.(http.Hijacker).Hijack(); err == nil {
				c.Close()
			}
		}, sink.Ambiguous, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := receive(t, tt.answer)
			err := deliver(t, r.URL+"/hook/s3cret", webhook.Settings{Format: webhook.FormatJSON})
			var e *sink.Error
			if !errors.As(err, &e) || e.Class != tt.class || e.RetryAfter != tt.after {
				t.Fatalf("got %v (%+v)", err, e)
			}
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the error shows the URL: %v", err)
			}
		})
	}
}

func TestSettings(t *testing.T) {
	for _, test := range []struct{ name, env, fault string }{
		{"webhook", "WEBHOOK_URL=https://host/hook WEBHOOK_SECRET=s WEBHOOK_FORMAT=cloudevents", ""},
		{"webhook that is no URL", "WEBHOOK_URL=host/s3cret", "WEBHOOK_URL: not a URL that starts with http:// or https://"},
		{"a secret alone", "WEBHOOK_SECRET=s", "WEBHOOK_SECRET: set, while WEBHOOK_URL is not"},
	} {
		t.Run(test.name, func(t *testing.T) {
			configtest.Faults(t, new(webhook.Settings), test.env, test.fault)
		})
	}
}
