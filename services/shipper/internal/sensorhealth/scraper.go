package sensorhealth

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// How Tracee's metrics are asked for. A page has some 100 kB.
const (
	scrapeInterval = 30 * time.Second
	scrapeTimeout  = 5 * time.Second
	maxScrape      = 4 << 20 // bytes
)

// scraper reads how many events Tracee has lost from its Prometheus endpoint.
type scraper struct {
	url    string
	client *http.Client
	latest atomic.Pointer[reading] // nil before the first
}

// reading is what one look at the endpoint has come to. It is not changed.
type reading struct {
	at   time.Time
	lost uint64 // events, since Tracee started
	err  error  // why that is not known
}

func newScraper(url string) *scraper {
	return &scraper{url: url, client: &http.Client{
		Timeout: scrapeTimeout,
		// Of its own, and without the proxy that the environment may name: the
		// endpoint is on this machine or beside it.
		Transport: new(http.Transport),
	}}
}

// run reads at once and then every scrapeInterval until ctx is done.
func (s *scraper) run(ctx context.Context) {
	defer s.client.CloseIdleConnections()
	ticker := time.NewTicker(scrapeInterval)
	defer ticker.Stop()
	for {
		lost, err := s.read(ctx)
		if ctx.Err() != nil {
			return
		}
		s.latest.Store(&reading{at: time.Now(), lost: lost, err: err})
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func (s *scraper) read(ctx context.Context) (uint64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return 0, fmt.Errorf("asking Tracee for its metrics: %w", err)
	}
	response, err := s.client.Do(request)
	if err != nil {
		return 0, fmt.Errorf("asking Tracee for its metrics: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("asking Tracee for its metrics: %s answers %s", s.url, response.Status)
	}
	lost, err := lostEvents(io.LimitReader(response.Body, maxScrape))
	if err != nil {
		return 0, fmt.Errorf("reading Tracee's metrics: %w", err)
	}
	return lost, nil
}

var errNoCounter = errors.New("no counter of lost events found")

// lostEvents finds Tracee's counter of lost events in a page of Prometheus's text
// format. It is called tracee_ebpf_lostevents_total up to 0.24, and later
// tracee_lostevents_total (pkg/metrics/stats.go); it has no labels. Tracee's other
// counters of losses are about captured files and packets, which are no events.
func lostEvents(page io.Reader) (uint64, error) {
	lines := bufio.NewScanner(page)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 || fields[0] != "tracee_ebpf_lostevents_total" && fields[0] != "tracee_lostevents_total" {
			continue
		}
		n, err := strconv.ParseFloat(fields[1], 64)
		if err != nil || math.IsNaN(n) || n < 0 || n > 1<<53 {
			return 0, fmt.Errorf("%s is %.100q, which is not a count", fields[0], fields[1])
		}
		return uint64(n), nil
	}
	if err := lines.Err(); err != nil {
		return 0, err
	}
	return 0, errNoCounter
}
