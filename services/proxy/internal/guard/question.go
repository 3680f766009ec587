package guard

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"unicode"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

const (
	maxReply  = 64 << 10 // bytes
	maxReason = 200      // characters
)

// reply is the guard's score for a batch.
type reply struct {
	score  float64
	reason string
}

// send asks one question. Its error is why there is no score.
func (c *Client) send(ctx context.Context, messages []string) (reply, error) {
	body, err := json.Marshal(struct {
		Messages []string `json:"messages"`
	}{messages}, jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return reply{}, fmt.Errorf("encoding the question: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.config.URL, bytes.NewReader(body))
	if err != nil {
		return reply{}, fmt.Errorf("asking the guard: %w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	response, err := c.http.Do(request)
	if err != nil {
		// Without the method and the URL, which say nothing new.
		if failed := (*url.Error)(nil); errors.As(err, &failed) {
			err = failed.Err
		}
		return reply{}, fmt.Errorf("asking the guard: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return reply{}, fmt.Errorf("asking the guard: its answer has status %d", response.StatusCode)
	}
	content, err := io.ReadAll(io.LimitReader(response.Body, maxReply+1))
	if err != nil {
		return reply{}, fmt.Errorf("reading the guard's answer: %w", err)
	}
	if len(content) > maxReply {
		return reply{}, fmt.Errorf("reading the guard's answer: larger than %d bytes", maxReply)
	}
	a, err := parse(content)
	if err != nil {
		return reply{}, fmt.Errorf("reading the guard's answer: %w", err)
	}
	return a, nil
}

// parse reads a guard's answer. One that can be read in two ways is refused.
func parse(content []byte) (reply, error) {
	var a struct {
		Score  *float64 `json:"score"`
		Reason string   `json:"reason"`
	}
	if err := json.Unmarshal(content, &a, jsontext.AllowInvalidUTF8(true)); err != nil {
		return reply{}, errors.New("it is not of the form {\"score\":0.5,\"reason\":\"…\"}")
	}
	switch {
	case a.Score == nil:
		return reply{}, errors.New("it has no score")
	case !(*a.Score >= 0 && *a.Score <= 1): // so that NaN is out, too
		return reply{}, fmt.Errorf("its score %v is not between 0 and 1", *a.Score)
	}
	return reply{score: *a.Score, reason: clean(a.Reason)}, nil
}

// clean makes a text from outside fit for one line of a log: cut, without
// control characters and without those that change how others look.
func clean(s string) string {
	var b strings.Builder
	n := 0
	for _, c := range s {
		if n == maxReason {
			b.WriteString("…")
			break
		}
		if !unicode.IsPrint(c) {
			c = ' '
		}
		b.WriteRune(c)
		n++
	}
	return strings.Join(strings.Fields(b.String()), " ")
}
