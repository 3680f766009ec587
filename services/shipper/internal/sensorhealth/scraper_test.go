package sensorhealth

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// page is the beginning of what Tracee 0.24.1 serves.
const page = `# HELP tracee_ebpf_errors_total errors accumulated by tracee-ebpf
# TYPE tracee_ebpf_errors_total counter
tracee_ebpf_errors_total 3
# HELP tracee_ebpf_lostevents_total events lost in the submission buffer
# TYPE tracee_ebpf_lostevents_total counter
tracee_ebpf_lostevents_total %s
# HELP tracee_ebpf_write_lostevents_total events lost in the write buffer
# TYPE tracee_ebpf_write_lostevents_total counter
tracee_ebpf_write_lostevents_total 7
`

func TestScrape(t *testing.T) {
	for _, test := range []struct {
		name   string
		status int
		body   string
		want   uint64
		err    string
	}{
		{"0.24", 200, fmt.Sprintf(page, "12"), 12, ""},
		{"none lost", 200, fmt.Sprintf(page, "0"), 0, ""},
		{"many", 200, fmt.Sprintf(page, "1.234567e+06"), 1234567, ""},
		{"later name", 200, "tracee_lostevents_total 5 1700000000000\n", 5, ""},
		{"no newline", 200, "tracee_lostevents_total 5", 5, ""},
		{"other counters only", 200, "tracee_ebpf_write_lostevents_total 7\n", 0, "no counter of lost events"},
		{"empty", 200, "", 0, "no counter of lost events"},
		{"no number", 200, fmt.Sprintf(page, "many"), 0, "is not a count"},
		{"not a number", 200, fmt.Sprintf(page, "NaN"), 0, "is not a count"},
		{"infinite", 200, fmt.Sprintf(page, "+Inf"), 0, "is not a count"},
		{"negative", 200, fmt.Sprintf(page, "-1"), 0, "is not a count"},
		{"error", 503, fmt.Sprintf(page, "12"), 0, "503"},
		{"endless line", 200, strings.Repeat("x", 1<<20), 0, "too long"},
		{"beyond the bound", 200, strings.Repeat("x 1\n", maxScrape/4) + fmt.Sprintf(page, "12"), 0, "no counter of lost events"},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(test.status)
				fmt.Fprint(w, test.body)
			}))
			defer server.Close()
			s := newScraper(server.URL)
			defer s.client.CloseIdleConnections()
			got, err := s.read(t.Context())
			if got != test.want || (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("got %d, %v", got, err)
			}
		})
	}
}

// transport answers without a network.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestScrapesAtOnceAndThenInIntervals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		s := newScraper("http://tracee.invalid/metrics")
		s.client.Transport = transport(func(*http.Request) (*http.Response, error) {
			if asked++; asked == 2 {
				return nil, errors.New("refused")
			}
			w := httptest.NewRecorder()
			fmt.Fprintf(w, page, fmt.Sprint(asked))
			return w.Result(), nil
		})
		go s.run(t.Context())
		synctest.Wait()
		for i, want := range []string{"1 <nil>", "0 refused", "3 <nil>"} {
			r := s.latest.Load()
			got := fmt.Sprint(r.lost, " ", errors.Unwrap(errors.Unwrap(r.err)))
			if got != want || !r.at.Equal(time.Now()) {
				t.Errorf("reading %d is %s (%v) of %s", i, got, r.err, r.at)
			}
			time.Sleep(scrapeInterval) // of the bubble's clock
			synctest.Wait()
		}
	})
}

func FuzzLostEvents(f *testing.F) {
	f.Add(fmt.Sprintf(page, "12"))
	f.Add("tracee_lostevents_total 9007199254740993")
	f.Fuzz(func(t *testing.T, text string) {
		if n, err := lostEvents(strings.NewReader(text)); err == nil && n > 1<<53 {
			t.Errorf("%d events", n)
		}
	})
}
