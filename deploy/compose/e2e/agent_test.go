package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"
)

// agent asks a model through the proxy, as OpenClaw would.
type agent struct {
	url      string
	client   http.Client
	answered []string // ids of the requests that were answered with status 200, to the end
	failed   int      // others
}

// reply is what an agent got.
type reply struct {
	status    int
	requestID string
	body      string
}

func (r *rig) agent() *agent {
	return &agent{url: "http://" + r.units["proxy"].addr, client: http.Client{Timeout: 20 * time.Second}}
}

// ask sends one prompt and reads the answer to its end.
func (a *agent) ask(ctx context.Context, prompt string) (reply, error) {
	body, err := json.Marshal(map[string]any{
		"model":      "claude-sonnet-4-5",
		"max_tokens": 64,
		"messages":   []map[string]string{{"role": "user", "content": prompt}},
	})
	if err != nil {
		return reply{}, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, a.url+"/v1/messages", bytes.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Anthropic-Version", "2023-06-01")
	request.Header.Set("X-Api-Key", "none")
	response, err := a.client.Do(request)
	if err != nil {
		return reply{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return reply{}, fmt.Errorf("reading the answer: %w", err)
	}
	return reply{response.StatusCode, response.Header.Get("X-Secbus-Request-Id"), string(text)}, nil
}

// play asks at a steady rate until ctx ends. Requests that fail, because the
// proxy is being killed, are counted.
func (a *agent) play(ctx context.Context, t *testing.T, perSecond int) {
	tick := time.NewTicker(time.Second / time.Duration(perSecond))
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		// A request that has begun is brought to its end.
		got, err := a.ask(context.WithoutCancel(ctx), fmt.Sprintf("#say This is answer %d.", n))
		switch {
		case err == nil && got.status == http.StatusOK && got.requestID != "":
			a.answered = append(a.answered, got.requestID)
		case err == nil && got.status < 500:
			t.Errorf("request %d was answered with status %d: %s", n, got.status, got.body)
		default:
			a.failed++
		}
	}
}
