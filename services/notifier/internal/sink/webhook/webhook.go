// Package webhook is the sink that posts each alert to a URL.
//
//	alert ─▶ JSON or CloudEvent ─▶ signed ─▶ POST ─▶ 2xx: accepted
//	                                          └─▶ else: again, or refused for good
//
// Requests carry the headers of Standard Webhooks 1.0
// (https://www.standardwebhooks.com): the receiver recognizes a repetition by
// webhook-id, which is the event's id, and the sender by webhook-signature.
package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/notifier/internal/sink"
)

// Values of WEBHOOK_FORMAT.
const (
	FormatJSON        = "json"        // the event's payload
	FormatCloudEvents = "cloudevents" // in an envelope, CloudEvents 1.0 in structured mode
)

// Spec declares the sink.
func Spec() sink.Spec {
	return sink.Spec{Title: "Webhook", Settings: func() sink.Settings { return new(Settings) }}
}

// Settings say where each alert is posted to. Without a URL none is.
type Settings struct {
	URL    config.Secret `env:"WEBHOOK_URL" doc:"URL that each alert is posted to; secret because many have a password in their path."`
	Secret config.Secret `env:"WEBHOOK_SECRET" doc:"Signs the requests as Standard Webhooks has it: webhook-signature is an HMAC-SHA256 with this. One that begins with whsec_ is base64."`
	Format string        `env:"WEBHOOK_FORMAT, default=json" doc:"What is posted: json for the event as it is stored, cloudevents for a CloudEvent around it."`
}

// Validate implements the check that [config.Load] makes.
func (s Settings) Validate() error {
	errs := []error{config.OneOf("WEBHOOK_FORMAT", s.Format, FormatJSON, FormatCloudEvents)}
	if !s.URL.IsZero() && config.URL("WEBHOOK_URL", s.URL.Reveal(), "http", "https") != nil {
		errs = append(errs, config.Faultf("WEBHOOK_URL", "not a URL that starts with http:// or https://"))
	}
	if s.URL.IsZero() && !s.Secret.IsZero() {
		errs = append(errs, config.Faultf("WEBHOOK_SECRET", "set, while WEBHOOK_URL is not"))
	}
	return errors.Join(errs...)
}

// Open implements [sink.Settings].
func (s *Settings) Open(shared sink.Shared) (sink.Opened, error) {
	if s.URL.IsZero() {
		return sink.Opened{}, nil
	}
	return sink.Opened{Sinks: []sink.Sink{New(*s, shared.Now)}}, nil
}

// Sink posts to one URL. It is safe for concurrent use.
type Sink struct {
	settings Settings
	now      func() time.Time
	http     *sink.HTTP
}

var _ sink.Sink = (*Sink)(nil)

// New returns a Sink whose requests are signed at the times of now.
func New(settings Settings, now func() time.Time) *Sink {
	return &Sink{settings: settings, now: now, http: sink.NewHTTP()}
}

// Name is the name of the sink in logs and metrics.
func (*Sink) Name() string { return "webhook" }

// Deliver posts one alert, as [sink.HTTP] does.
func (s *Sink) Deliver(ctx context.Context, e *proto.Event, payload []byte, repeated bool) error {
	body, contentType := payload, "application/json"
	if s.settings.Format == FormatCloudEvents {
		var err error
		if body, err = envelope(e, payload); err != nil {
			return &sink.Error{Class: sink.Refused, Err: err}
		}
		contentType = "application/cloudevents+json; charset=utf-8"
	}
	header := http.Header{"Content-Type": {contentType}}
	s.sign(header, e.ID, body)
	if repeated {
		header.Set("Webhook-May-Repeat", "true")
	}
	_, err := s.http.Post(ctx, s.settings.URL.Reveal(), header, body)
	return err
}

// sign sets the headers of Standard Webhooks.
func (s *Sink) sign(h http.Header, id string, body []byte) {
	at := strconv.FormatInt(s.now().Unix(), 10)
	h.Set("Webhook-Id", id)
	h.Set("Webhook-Timestamp", at)
	if !s.settings.Secret.IsZero() {
		h.Set("Webhook-Signature", "v1,"+Signature(s.settings.Secret.Reveal(), id, at, body))
	}
}

// Signature is what a receiver compares with the part of webhook-signature
// behind "v1,": the base64 of the HMAC-SHA256 of id, timestamp and body, joined
// by full stops. A secret that begins with whsec_ is base64, any other is used
// as it is.
func Signature(secret, id, timestamp string, body []byte) string {
	key := []byte(secret)
	if encoded, ok := bytes.CutPrefix(key, []byte("whsec_")); ok {
		if decoded, err := base64.StdEncoding.DecodeString(string(encoded)); err == nil {
			key = decoded
		}
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + timestamp + "."))
	mac.Write(body)
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// envelope is the alert as a CloudEvent
// (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md).
func envelope(e *proto.Event, payload []byte) ([]byte, error) {
	subject := e.Subject()
	b, err := json.Marshal(struct {
		SpecVersion string          `json:"specversion"`
		ID          string          `json:"id"`
		Source      string          `json:"source"`
		Type        string          `json:"type"`
		Subject     string          `json:"subject"`
		Time        time.Time       `json:"time"`
		ContentType string          `json:"datacontenttype"`
		Data        json.RawMessage `json:"data"`
	}{
		"1.0", e.ID, "/openclaw-security/" + subject.Host + "/" + subject.Source,
		"openclaw.security." + string(subject.Class), subject.Stored(), e.Time, "application/json", payload,
	})
	if err != nil {
		return nil, fmt.Errorf("writing the CloudEvent: %w", err)
	}
	return b, nil
}
