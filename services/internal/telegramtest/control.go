package telegramtest

import (
	"encoding/json"
	"io"
	"net/http"
)

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
