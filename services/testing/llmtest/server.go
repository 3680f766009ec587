package llmtest

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// Key is the key that a [Server] expects unless it is configured with another. It is long
// and shaped like a real one, so that it can be looked for in what leaks.
const Key = "sk-ant-api03-fake-4f9a1c7e2b8d6053-QmFzZTY0LWxpa2U_tail-AA"

// maxBody is the largest request body that is read, in bytes: what Anthropic
// accepts. https://docs.claude.com/en/api/errors#request-size-limits
const maxBody = 32 << 20

// Config says how a [Server] differs from the default.
type Config struct {
	// Key is what requests must present; empty means [Key].
	Key string
	// Unrecorded turns [Server.Requests] off, for load.
	Unrecorded bool
}

// Server is the stand-in for every provider at once. It is safe for concurrent
// use.
type Server struct {
	key    string
	now    func() time.Time
	serial atomic.Int64 // numbers requests, and so all ids
	active atomic.Int64
	record *record // nil if nothing is recorded
}

var _ http.Handler = (*Server)(nil)

// New returns a Server, which is an [http.Handler]; [Server.Serve] and
// [Server.Start] give it a listener.
func New(cfg Config) *Server {
	s := &Server{key: cfg.Key, now: time.Now}
	if s.key == "" {
		s.key = Key
	}
	if !cfg.Unrecorded {
		s.record = &record{}
	}
	return s
}

// Requests returns what has arrived, oldest first: the latest 256 requests, and
// fewer if their bodies are larger than 64 MiB together.
func (s *Server) Requests() []Request {
	if s.record == nil {
		return nil
	}
	return s.record.all()
}

// Active is how many requests are being answered. It falls when a client that
// has cancelled is noticed, also while an answer stalls.
func (s *Server) Active() int { return int(s.active.Load()) }

// exchange is one request and the way back.
type exchange struct {
	server    *Server
	w         http.ResponseWriter
	r         *http.Request
	serial    int64
	requestID string
	provider  provider
	key       string // as it was presented
	body      []byte
}

// ServeHTTP implements [http.Handler]. It panics with [http.ErrAbortHandler] to
// break a connection off.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.active.Add(1)
	defer s.active.Add(-1)
	path := r.URL.Path
	x := &exchange{server: s, w: w, r: r, serial: s.serial.Add(1), provider: providerOf(r)}
	x.requestID = x.provider.requestID(x.serial)
	var err error
	x.body, err = readBody(r)
	if s.record != nil {
		s.record.add(r, x.body)
	}
	x.provider.header(w.Header(), x)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		x.refuse(&fault{status: http.StatusRequestEntityTooLarge, message: "The request is larger than 32 MiB."})
		return
	case err != nil: // the client broke off
		panic(http.ErrAbortHandler)
	}
	key, refusal := x.provider.authenticate(r, s.key)
	x.key = key
	if refusal != nil {
		x.refuse(refusal)
		return
	}
	if models, ok := strings.CutPrefix(path, x.provider.modelsPath()); ok && r.Method == http.MethodGet {
		x.models(models)
		return
	}
	format, model := formatOf(path)
	switch {
	case format == nil:
		x.refuse(&fault{status: http.StatusNotFound, message: "There is no " + path + "."})
	case r.Method != http.MethodPost:
		x.refuse(&fault{status: http.StatusMethodNotAllowed, message: path + " does not take " + r.Method + "."})
	default:
		x.answer(format, model)
	}
}

// readBody returns what could be read even if it returns an error.
func readBody(r *http.Request) ([]byte, error) {
	limited := http.MaxBytesReader(nil, r.Body, maxBody)
	if r.ContentLength < 0 || r.ContentLength > maxBody {
		return io.ReadAll(limited)
	}
	body := make([]byte, r.ContentLength)
	n, err := io.ReadFull(limited, body)
	return body[:n], err
}

// formatOf is the API at path, and the model if it is in the path.
func formatOf(path string) (f format, model string) {
	switch path {
	case "/v1/messages":
		return messages{}, ""
	case "/v1/messages/count_tokens":
		return countTokens{}, ""
	case "/v1/chat/completions":
		return chat{}, ""
	case "/v1/responses":
		return responses{}, ""
	case "/v1/embeddings":
		return embeddings{}, ""
	}
	model, method, _ := strings.Cut(strings.TrimPrefix(path, "/v1beta/models/"), ":")
	switch method {
	case "generateContent":
		return generate{}, model
	case "streamGenerateContent":
		return generate{streams: true}, model
	case "countTokens":
		return geminiCount{}, model
	}
	return nil, ""
}
