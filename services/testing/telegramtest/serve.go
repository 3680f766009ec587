package telegramtest

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"

	"github.com/openclaw-security/bus/services/testing/standin"
)

// Serve serves l until ctx is done, then breaks off what is still being
// answered, closes l and returns nil. It returns an error if serving fails. It
// may be called once.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	return standin.Serve(ctx, l, s, func() { close(s.shutdown) })
}

// Start serves on a free port of the loopback interface until the test ends and
// returns the URL, http://127.0.0.1:port without a slash at the end.
func (s *Server) Start(t standin.T) string { return standin.Start(t, s.Serve) }

// control serves what drives a test from another process.
func (s *Server) control(w http.ResponseWriter, r *http.Request) {
	switch r.Method + " " + r.URL.Path {
	case "GET /_messages":
		writeJSON(w, s.Messages())
	case "GET /_requests":
		writeJSON(w, s.Requests())
	case "POST /_control":
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err == nil {
			err = s.Script(string(body))
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	case "POST /_press":
		var press struct {
			MessageID int64  `json:"message_id"`
			Data      string `json:"data"`
		}
		err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&press)
		var id string
		if err == nil {
			id, err = s.Press(press.MessageID, press.Data)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		writeJSON(w, map[string]string{"callback_query_id": id})
	default:
		http.NotFound(w, r)
	}
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the only error left is a client that has gone
}
