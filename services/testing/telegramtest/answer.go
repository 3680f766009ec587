package telegramtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// answer is what the Bot API says: https://core.telegram.org/bots/api#making-requests
type answer struct {
	OK          bool           `json:"ok"`
	Result      any            `json:"result,omitempty"`
	Code        int            `json:"error_code,omitempty"`
	Description string         `json:"description,omitempty"`
	Parameters  map[string]any `json:"parameters,omitempty"`

	messageID int64 // of what was accepted
}

func success(result any) *answer { return &answer{OK: true, Result: result} }

func failure(code int, description string) *answer {
	return &answer{Code: code, Description: description}
}

func badRequest(format string, args ...any) *answer {
	return failure(400, "Bad Request: "+fmt.Sprintf(format, args...))
}

// tooMany asks to wait, in whole seconds, at least one.
func tooMany(wait time.Duration) *answer {
	seconds := max(1, int64((wait+time.Second-1)/time.Second))
	a := failure(429, "Too Many Requests: retry after "+strconv.FormatInt(seconds, 10))
	a.Parameters = map[string]any{"retry_after": seconds}
	return a
}

// worded is an error of a status in the Bot API's words.
func worded(status int) *answer {
	words := map[int]string{
		400: "Bad Request",
		401: "Unauthorized",
		403: "Forbidden: bot was blocked by the user",
		404: "Not Found",
		409: "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running",
		413: "Request Entity Too Large",
		500: "Internal Server Error",
		502: "Bad Gateway",
		503: "Service Unavailable",
		504: "Gateway Timeout",
	}[status]
	if words == "" {
		words = http.StatusText(status)
	}
	return failure(status, words)
}

// reply writes an answer.
func reply(w http.ResponseWriter, a *answer) {
	status := http.StatusOK
	if !a.OK {
		status = a.Code
	}
	body, err := json.Marshal(a)
	if err != nil {
		panic(fmt.Sprintf("encoding an answer: %v", err)) // a fault of this package
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

func replyHTML(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Type", "text/html")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<html><head><title>%d %s</title></head><body></body></html>\n", status, http.StatusText(status))
}

// answer notes the request and answers it.
func (x *exchange) answer(a *answer) {
	x.request.Status, x.request.MessageID = http.StatusOK, a.messageID
	if !a.OK {
		x.request.Status = a.Code
	}
	x.note()
	reply(x.w, a)
}

// answerFault answers what the fault says instead of what is true.
func (x *exchange) answerFault() {
	if f := x.fault; f.html != 0 {
		x.request.Status = f.html
		x.note()
		replyHTML(x.w, f.html)
	} else {
		x.request.Status = f.replaces.Code
		x.note()
		reply(x.w, f.replaces)
	}
}

// answerHalf breaks the connection off within the answer.
func (x *exchange) answerHalf(a *answer) {
	x.request.Status = 0
	x.note()
	body, err := json.Marshal(a)
	if err != nil {
		panic(fmt.Sprintf("encoding an answer: %v", err)) // a fault of this package
	}
	x.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = x.w.Write(body[:len(body)/2])
	_ = http.NewResponseController(x.w).Flush()
	panic(http.ErrAbortHandler)
}

// breakOff ends the exchange without an answer: at once, or when the client or
// the server has gone.
func (x *exchange) breakOff() {
	x.request.Status = 0
	x.note()
	if x.fault.hangs {
		select {
		case <-x.r.Context().Done():
		case <-x.server.shutdown:
		}
	}
	panic(http.ErrAbortHandler)
}

func (x *exchange) note() {
	x.request.Fault = x.fault.name
	x.server.mu.Lock()
	defer x.server.mu.Unlock()
	x.server.record.addRequest(x.request)
}
