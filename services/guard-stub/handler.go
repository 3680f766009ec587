package guardstub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"time"

	jsonv2 "github.com/go-json-experiment/json"

	"github.com/openclaw-security/bus/services/guard-stub/internal/rules"
)

// maxMessages bounds the messages of one request.
const maxMessages = 4096

// patience is how long a request waits for its turn. Its body is not read
// before that, so waiting costs no memory; a proxy waits about as long.
const patience = 2 * time.Second

// judge scores messages. It blocks no longer than its context lives.
type judge interface {
	Scan(ctx context.Context, messages []string) (rules.Verdict, error)
}

// handler serves the guard's contract.
type handler struct {
	judge   judge
	maxBody int64
	running chan struct{} // holds one for each request being judged
	log     *slog.Logger
	metrics metrics
}

func newHandler(j judge, cfg Config, log *slog.Logger, m metrics) http.Handler {
	h := &handler{judge: j, maxBody: int64(cfg.MaxBody), running: make(chan struct{}, cfg.Concurrency), log: log, metrics: m}
	scan := func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		v, n, err := h.scan(w, r)
		status := h.reply(w, v, n, err)
		h.metrics.replied(status, time.Since(began))
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/scan", scan)
	mux.HandleFunc("/{$}", scan)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		write(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		write(w, http.StatusNotFound, failure{"there is only POST /scan and GET /healthz"})
	})
	return mux
}

// refusal is an error that the client is shown, with its status.
type refusal struct {
	status  int
	message string
}

func (r *refusal) Error() string { return r.message }

func refusef(status int, format string, args ...any) error {
	return &refusal{status, fmt.Sprintf(format, args...)}
}

// scan reads a request and judges its messages, of which it returns the number.
func (h *handler) scan(w http.ResponseWriter, r *http.Request) (v rules.Verdict, n int, err error) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return v, 0, refusef(http.StatusMethodNotAllowed, "use POST, not %.20q", r.Method)
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return v, 0, refusef(http.StatusUnsupportedMediaType, "the content type must be application/json, not %.100q", r.Header.Get("Content-Type"))
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case h.running <- struct{}{}:
		defer func() { <-h.running }()
	case <-timer.C:
		w.Header().Set("Retry-After", "1")
		return v, 0, refusef(http.StatusServiceUnavailable, "%d requests are being judged; try again", cap(h.running))
	case <-r.Context().Done():
		return v, 0, r.Context().Err()
	}
	messages, err := h.read(w, r)
	if err != nil {
		return v, 0, err
	}
	v, err = h.judge.Scan(r.Context(), messages)
	return v, len(messages), err
}

// read reads the messages of a request, strictly: duplicate members and
// malformed UTF-8 are what one parser sees and another does not.
func (h *handler) read(w http.ResponseWriter, r *http.Request) ([]string, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, h.maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, refusef(http.StatusRequestEntityTooLarge, "the body has more than %d bytes", tooLarge.Limit)
	case err != nil:
		return nil, refusef(http.StatusBadRequest, "the body could not be read to its end")
	}
	var request struct {
		Messages *[]string `json:"messages"`
	}
	if err := jsonv2.Unmarshal(body, &request); err != nil {
		return nil, refusef(http.StatusBadRequest, `the body must be {"messages":["…"]}: %v`, err)
	}
	if request.Messages == nil {
		return nil, refusef(http.StatusBadRequest, `the body must be {"messages":["…"]}: it has no list of messages`)
	}
	if n := len(*request.Messages); n > maxMessages {
		return nil, refusef(http.StatusRequestEntityTooLarge, "%d messages are more than %d", n, maxMessages)
	}
	return *request.Messages, nil
}

// failure is the body of what is refused.
type failure struct {
	Error string `json:"error"`
}

// statusGone is how the metrics count a client that did not wait; nobody sees it.
const statusGone = 499

// reply sends the verdict on n messages, or why there is none, and returns the
// status.
func (h *handler) reply(w http.ResponseWriter, v rules.Verdict, n int, err error) int {
	var refused *refusal
	switch {
	case errors.As(err, &refused):
		write(w, refused.status, failure{refused.message})
		return refused.status
	case err != nil: // only the end of the context stops a judge
		write(w, http.StatusServiceUnavailable, failure{"the request was given up"})
		return statusGone
	}
	h.metrics.judged(v)
	result := struct {
		Score  float64 `json:"score"`
		Reason string  `json:"reason"`
	}{v.Score, "no rule matches"}
	if v.Rule != "" {
		result.Reason = fmt.Sprintf("%s (rule %s, message %d of %d)", v.Reason, v.Rule, v.Message+1, n)
		h.log.Debug("a rule matches", "rule", v.Rule, "score", v.Score)
	}
	write(w, http.StatusOK, result)
	return http.StatusOK
}

func write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	// The only error left is a client that has gone.
	_ = json.NewEncoder(w).Encode(body)
}
