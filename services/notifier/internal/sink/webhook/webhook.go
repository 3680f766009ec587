// Package webhook is the sink that posts each alert to a URL.
//
//	alert ─▶ JSON or CloudEvent ─▶ signed ─▶ POST ─▶ 2xx: taken
//	                                          └─▶ else: again, or refused for good
//
// Requests carry the headers of Standard Webhooks 1.0
// (https://www.standardwebhooks.com): the receiver tells a repetition by
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
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/notifier/internal/sink"
)

// Format is how an alert is posted.
type Format string

// The formats.
const (
	FormatJSON        Format = "json"        // the event's payload
	FormatCloudEvents Format = "cloudevents" // in an envelope, CloudEvents 1.0 in structured mode
)

const (
	timeout    = 30 * time.Second // for one request
	maxAnswer  = 1 << 10          // bytes read of an answer, for the log
	maxRetryIn = time.Hour        // of a Retry-After
)

// Options say where to post and how.
type Options struct {
	URL    string
	Secret config.Secret // signs the requests; zero for unsigned ones
	Format Format
	Now    func() time.Time
}

// Sink posts to one URL. It is safe for concurrent use.
type Sink struct {
	o      Options
	client *http.Client
}

var _ sink.Sink = (*Sink)(nil)

// New returns a Sink.
func New(o Options) *Sink {
	return &Sink{o: o, client: &http.Client{
		Timeout:   timeout,
		Transport: http.DefaultTransport.(*http.Transport).Clone(),
		// Whoever answers for the URL must not choose another place for alerts.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Name is the name of the sink in logs and metrics.
func (*Sink) Name() string { return "webhook" }

// Deliver posts one alert. An answer of 2xx takes it; 400, 413, 415 and 422
// refuse it for good; whatever else happens, it is to be posted again.
func (s *Sink) Deliver(ctx context.Context, e *proto.Event, payload []byte, repeated bool) error {
	body, contentType := payload, "application/json"
	if s.o.Format == FormatCloudEvents {
		var err error
		if body, err = envelope(e, payload); err != nil {
			return &sink.Error{Class: sink.Refused, Err: err}
		}
		contentType = "application/cloudevents+json; charset=utf-8"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.o.URL, bytes.NewReader(body))
	if err != nil {
		return &sink.Error{Class: sink.Broken, Err: fmt.Errorf("preparing the request: %w", err)}
	}
	request.Header.Set("Content-Type", contentType)
	request.Header.Set("User-Agent", "openclaw-security-bus")
	s.sign(request.Header, e.ID, body)
	if repeated {
		request.Header.Set("Webhook-May-Repeat", "true")
	}
	response, err := s.client.Do(request)
	if err != nil {
		return &sink.Error{Class: sink.Ambiguous, Err: withoutURL(err)}
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	return outcome(response, text)
}

// sign sets the headers of Standard Webhooks.
func (s *Sink) sign(h http.Header, id string, body []byte) {
	at := strconv.FormatInt(s.o.Now().Unix(), 10)
	h.Set("Webhook-Id", id)
	h.Set("Webhook-Timestamp", at)
	if !s.o.Secret.IsZero() {
		h.Set("Webhook-Signature", "v1,"+Signature(s.o.Secret.Reveal(), id, at, body))
	}
}

// Signature is what a receiver compares with the part of webhook-signature
// behind "v1,": the base64 of the HMAC-SHA256 of id, timestamp and body, joined
// by full stops. A secret that begins with whsec_ is base64, any other is taken
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

// outcome is the error for an answer, nil if the alert was taken.
func outcome(r *http.Response, text []byte) error {
	if r.StatusCode >= 200 && r.StatusCode < 300 {
		return nil
	}
	e := &sink.Error{Class: sink.Broken, Err: fmt.Errorf("the receiver answers %s: %.200q", r.Status, text)}
	switch {
	case r.StatusCode == http.StatusTooManyRequests, r.StatusCode == http.StatusServiceUnavailable:
		e.Class, e.RetryAfter = sink.NotSent, retryAfter(r.Header.Get("Retry-After"))
	case r.StatusCode >= 500, r.StatusCode == http.StatusRequestTimeout:
		e.Class = sink.Ambiguous
	case r.StatusCode == http.StatusBadRequest,
		r.StatusCode == http.StatusRequestEntityTooLarge,
		r.StatusCode == http.StatusUnsupportedMediaType,
		r.StatusCode == http.StatusUnprocessableEntity:
		e.Class = sink.Refused
	}
	return e
}

// retryAfter reads the seconds of a Retry-After; its other form, a date, is
// left to the caller's own patience.
func retryAfter(header string) time.Duration {
	seconds, err := strconv.Atoi(header)
	if err != nil || seconds < 0 {
		return 0
	}
	return min(time.Duration(seconds)*time.Second, maxRetryIn)
}

// withoutURL keeps the URL, which may hold a secret path, out of the log.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return fmt.Errorf("posting: %w", u.Err)
	}
	return err
}
