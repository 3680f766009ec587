// Package guard asks an external classifier about the texts of a request.
//
//	texts ─▶ judged harmless before? ─▶ skipped
//	            └ no ─▶ pieces ─▶ batches ─▶ breaker ─▶ POST ─▶ score ≥ threshold: blocked
//	                                                    └─▶ anything else than a score: an error
//
// The contract: the guard is sent {"messages":["text","text"]} and answers 200
// with {"score":0.87,"reason":"why"}, the score from 0 (harmless) to 1.
//
// What cannot be judged is blocked, unless the configuration says to let it
// pass: a guard that fails open is one that an attacker makes fail.
package guard

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/openclaw-security/bus/services/proxy/internal/known"
)

const (
	defaultTimeout = 2 * time.Second
	// maxHarmless bounds the texts that are remembered, each in some 50 bytes.
	maxHarmless = 1 << 16
	maxConns    = 64

	// maxFailures in a row open the breaker, which keeps requests from waiting,
	// each for the whole timeout, for a guard that does not answer.
	maxFailures = 5
	// openFor is how long it then stays open before one question tries again.
	openFor = 10 * time.Second
)

// ErrNotAsked is why there is no verdict while the breaker is open.
var ErrNotAsked = errors.New("the guard is not asked after failing repeatedly")

// Config says whom to ask and what follows.
type Config struct {
	URL       string        // http or https; redirects are not followed
	Threshold float64       // from 0 to 1; a score at or above it blocks
	Timeout   time.Duration // of each question; 2 seconds if 0
	FailOpen  bool          // what cannot be judged passes

	// OnState, if set, is called with why the guard is no longer asked, and with
	// nil when it has answered again: once for each change, one after another.
	// It must not use the client.
	OnState func(error)
}

// Client asks the guard. It is safe for concurrent use.
type Client struct {
	config   Config
	http     *http.Client
	breaker  *gobreaker.CircuitBreaker[reply]
	failure  atomic.Pointer[error] // the last that the breaker counted
	hash     *known.Hash           // forked for each check
	harmless *known.Cache[struct{}]
}

// New returns a client. Nothing is asked until the first Check.
func New(c Config) *Client {
	c.Timeout = cmp.Or(c.Timeout, defaultTimeout)
	client := &Client{
		config: c,
		http: &http.Client{
			// A guard is a neighbor: a proxy from the environment has no
			// business in between, and a redirect would take prompts elsewhere.
			Transport: &http.Transport{
				DialContext:            (&net.Dialer{Timeout: c.Timeout}).DialContext,
				MaxConnsPerHost:        maxConns,
				MaxIdleConnsPerHost:    maxConns,
				IdleConnTimeout:        time.Minute,
				MaxResponseHeaderBytes: 16 << 10,
				DisableCompression:     true,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		hash:     known.NewHash(),
		harmless: known.NewCache[struct{}](maxHarmless),
	}
	client.breaker = gobreaker.NewCircuitBreaker[reply](gobreaker.Settings{
		Timeout:     openFor,
		ReadyToTrip: func(counts gobreaker.Counts) bool { return counts.ConsecutiveFailures >= maxFailures },
		// A caller that goes away says nothing about the guard.
		IsExcluded: func(err error) bool { return errors.As(err, new(abandonedError)) },
		IsSuccessful: func(err error) bool {
			if err != nil {
				client.failure.Store(&err)
			}
			return err == nil
		},
		OnStateChange: client.changed,
	})
	return client
}

// changed reports that the guard is not asked any more, or again. A trial that
// fails changes neither. The breaker calls it with its lock held.
func (c *Client) changed(_ string, from, to gobreaker.State) {
	if c.config.OnState == nil {
		return
	}
	switch {
	case from == gobreaker.StateClosed:
		c.config.OnState(c.notAsked())
	case to == gobreaker.StateClosed:
		c.config.OnState(nil)
	}
}

// notAsked is why an open breaker is.
func (c *Client) notAsked() error { return fmt.Errorf("%w: %w", ErrNotAsked, *c.failure.Load()) }

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// State is nil while the guard is asked, else why it is not.
func (c *Client) State() error {
	if c.breaker.State() == gobreaker.StateClosed {
		return nil
	}
	return c.notAsked()
}

// Verdict is what became of one check.
type Verdict struct {
	Score     float64 // the highest; 0 if nothing was asked
	Threshold float64
	Reason    string // the guard's, cut and free of control characters; any text else
	Asked     int    // texts that were sent, wholly or in part
	Err       error  // why there is no verdict, or none on everything
	Blocked   bool   // the request may not pass
}

// Check asks about those texts that no earlier check has found harmless, and
// waits for the answers: at most the timeout for each batch of 256 KiB, and no
// longer than ctx. It stops at the first answer that blocks or fails.
//
// Texts count as harmless once a check that included them has passed with all
// of its answers.
func (c *Client) Check(ctx context.Context, texts [][]byte) Verdict {
	v := Verdict{Threshold: c.config.Threshold}
	unknown, keys := c.unknown(texts)
	for b := range batches(unknown) {
		v.Asked = b.upTo
		a, err := c.question(ctx, b.messages)
		if err != nil {
			v.Err, v.Blocked = err, !c.config.FailOpen
			return v
		}
		if a.score >= v.Score {
			v.Score, v.Reason = a.score, a.reason
		}
		if a.score >= v.Threshold {
			v.Blocked = true
			return v
		}
	}
	for _, k := range keys {
		c.harmless.Put(k, struct{}{})
	}
	return v
}

// unknown returns those of texts that have to be asked about, each once, and
// their keys.
func (c *Client) unknown(texts [][]byte) (unknown [][]byte, keys []known.Key) {
	hash := c.hash.Fork()
	within := make(map[known.Key]bool)
	for _, text := range texts {
		if len(text) == 0 {
			continue
		}
		key := hash.Sum(0, text)
		if _, harmless := c.harmless.Get(key); harmless || within[key] {
			continue
		}
		within[key] = true
		unknown = append(unknown, text)
		keys = append(keys, key)
	}
	return unknown, keys
}

// question asks one question through the breaker.
func (c *Client) question(ctx context.Context, messages []string) (reply, error) {
	a, err := c.breaker.Execute(func() (reply, error) {
		a, err := c.send(ctx, messages)
		if err != nil && ctx.Err() != nil {
			return reply{}, abandonedError{context.Cause(ctx)}
		}
		return a, err
	})
	if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
		return reply{}, c.notAsked()
	}
	return a, err
}

// abandonedError is why a question had no answer of which anything can be
// learned: its caller went away.
type abandonedError struct{ cause error }

// Error says what was going on.
func (e abandonedError) Error() string { return fmt.Sprintf("asking the guard: %v", e.cause) }

// Unwrap returns the cause.
func (e abandonedError) Unwrap() error { return e.cause }
