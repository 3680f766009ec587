package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// answerLimit bounds what is read of an answer, in bytes.
const answerLimit = 256 << 10

// getJSON asks for a JSON document, whatever the answer's status says. It goes
// straight to where it is sent: no redirect, and no HTTP proxy of the
// environment.
func getJSON(ctx context.Context, address string, v any) error {
	transport := &http.Transport{DisableKeepAlives: true}
	client := http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return fmt.Errorf("preparing the request: %w", withoutURL(err))
	}
	answer, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("asking: %w", withoutURL(err))
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, answerLimit))
	if err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("reading the answer (HTTP status %d): %w", answer.StatusCode, err)
	}
	return nil
}

// withoutURL drops the address from an error of net/http: what is told of it
// names the address already.
func withoutURL(err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}
