package main

import (
	"encoding/json"
	"math"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

func TestRoom(t *testing.T) {
	dir := t.TempDir()
	for _, test := range []struct {
		name, path string
		need       uint64
		want       string // part of the error
	}{
		{"enough", dir, 1, ""},
		{"full", dir, math.MaxUint64, "the disk is full"},
		{"missing", filepath.Join(dir, "missing"), 1, "no such file"},
	} {
		err := checkRoom(test.path, test.need)
		if (test.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

// TestProbe asks a stand-in for a server. A full disk under a real one is in
// full_linux_test.go.
func TestProbe(t *testing.T) {
	const (
		full  = `JetStream stream 'BUS > ONE' write error: write /data/1.blk: no space left on device`
		quota = `JetStream stream 'BUS > ONE' write error: write /data/1.blk: disk quota exceeded`
		torn  = `JetStream stream 'BUS > TWO' write error: write /data/1.blk: input/output error`
		late  = `JetStream stream 'BUS > ONE' is not current`
	)
	for _, test := range []struct {
		name    string
		enabled int // status of the first answer
		errors  []string
		ends    bool
		want    string // part of the error, empty for none
	}{
		{"well", http.StatusOK, nil, false, ""},
		{"caught up with", http.StatusOK, []string{late}, false, ""},
		{"disabled", http.StatusServiceUnavailable, []string{full}, false, "Service Unavailable"},
		{"full", http.StatusOK, []string{late, full}, true, "told to end"},
		{"over quota", http.StatusOK, []string{quota}, true, "told to end"},
		{"broken", http.StatusOK, []string{torn}, false, "input/output error"},
		{"broken and full", http.StatusOK, []string{torn, full}, true, "input/output error"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				var answer struct {
					Errors []map[string]string `json:"errors,omitempty"`
				}
				if r.FormValue("js-enabled-only") == "true" {
					w.WriteHeader(test.enabled)
				} else if r.FormValue("details") == "true" && len(test.errors) > 0 {
					w.WriteHeader(http.StatusServiceUnavailable)
					for _, e := range test.errors {
						answer.Errors = append(answer.Errors, map[string]string{"type": "STREAM", "error": e})
					}
				}
				if err := json.NewEncoder(w).Encode(answer); err != nil {
					t.Error(err)
				}
			}))
			defer s.Close()
			ended := false
			err := probe(t.Context(), s.URL, t.TempDir(), func() error {
				ended = true
				return nil
			})
			if ended != test.ends || (test.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("ended is %t: %v", ended, err)
			}
		})
	}
}
