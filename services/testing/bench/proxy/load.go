package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// load is how requests are made.
type load struct {
	size        int // bytes of a body, about
	stream      bool
	concurrency int
}

// sample is what was measured of one target. Times are in milliseconds.
type sample struct {
	p50, p99  float64 // to the end of the answer
	first     float64 // to the first byte of its body, median
	perSecond float64
}

// median takes each figure's median by itself.
func median(samples []sample) sample {
	middle := func(of func(sample) float64) float64 {
		var values []float64
		for _, s := range samples {
			values = append(values, of(s))
		}
		return quantile(values, .5)
	}
	return sample{
		p50:       middle(func(s sample) float64 { return s.p50 }),
		p99:       middle(func(s sample) float64 { return s.p99 }),
		first:     middle(func(s sample) float64 { return s.first }),
		perSecond: middle(func(s sample) float64 { return s.perSecond }),
	}
}

// quantile sorts values.
func quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[int(q*float64(len(values)-1))]
}

// asked numbers the requests, so that each says something new.
var asked atomic.Int64

// drive makes requests for a time, each worker one after the other, and waits
// for the last answers.
func drive(ctx context.Context, url string, l load, d time.Duration, directive string) (sample, error) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: l.concurrency, DisableCompression: true}}
	defer client.CloseIdleConnections()
	before, after := body(l, directive)

	var mu sync.Mutex
	var whole, first []float64
	var failed error
	var workers sync.WaitGroup
	start := time.Now()
	for range l.concurrency {
		workers.Go(func() {
			var w, f []float64
			for ctx.Err() == nil && time.Since(start) < d {
				total, begun, err := ask(ctx, client, url, fmt.Sprintf("%s%d%s", before, asked.Add(1), after))
				if err != nil {
					mu.Lock()
					failed = err
					mu.Unlock()
					return
				}
				w, f = append(w, total), append(f, begun)
			}
			mu.Lock()
			defer mu.Unlock()
			whole, first = append(whole, w...), append(first, f...)
		})
	}
	workers.Wait()
	elapsed := time.Since(start)
	if failed != nil {
		return sample{}, failed
	}
	return sample{quantile(whole, .5), quantile(whole, .99), quantile(first, .5), float64(len(whole)) / elapsed.Seconds()}, ctx.Err()
}

func ask(ctx context.Context, client *http.Client, url, body string) (total, first float64, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v1/messages", strings.NewReader(body))
	if err != nil {
		return 0, 0, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Anthropic-Version", "2023-06-01")
	request.Header.Set("X-Api-Key", key)
	start := time.Now()
	response, err := client.Do(request)
	if err != nil {
		return 0, 0, err
	}
	defer response.Body.Close()
	if _, err := io.ReadFull(response.Body, make([]byte, 1)); err != nil {
		return 0, 0, err
	}
	begun := time.Since(start)
	n, err := io.Copy(io.Discard, response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		return 0, 0, fmt.Errorf("status %d, %d bytes: %w", response.StatusCode, n, err)
	}
	return milliseconds(time.Since(start)), milliseconds(begun), nil
}

func milliseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

// body is a request in two parts, between which its number goes: a conversation
// of turns and tool results, as an agent has it, and a last short message.
func body(l load, directive string) (before, after string) {
	type turn struct {
		Role    string `json:"role"`
		Content any    `json:"content"`
	}
	const mark = "@number@"
	last := turn{"user", strings.TrimSpace("go on with step " + mark + "\n" + directive)}
	line := "drwxr-xr-x  2 agent agent  4096 Nov 22 07:09 notes\n"
	var turns []turn
	text := func() string {
		request, err := json.Marshal(map[string]any{
			"model": "claude-sonnet-4-5", "max_tokens": 1024, "stream": l.stream, "messages": append(slices.Clone(turns), last),
		})
		if err != nil {
			panic(err) // plain values
		}
		return string(request)
	}
	for n := 0; len(text()) < l.size-512; n++ {
		id := fmt.Sprintf("toolu_%06d", n)
		output := strings.Repeat(line, min(40, max(1, (l.size-512)/100)))
		turns = append(
			turns,
			turn{"user", "list the files and tell me what is new"},
			turn{"assistant", []map[string]any{{"type": "tool_use", "id": id, "name": "exec", "input": map[string]string{"command": "ls -l"}}}},
			turn{"user", []map[string]any{{"type": "tool_result", "tool_use_id": id, "content": fmt.Sprintf("%d\n%s", n, output)}}},
			turn{"assistant", "There is nothing new."},
		)
		if l.size <= 1<<10 {
			break
		}
	}
	before, after, _ = strings.Cut(text(), mark)
	return before, after
}
