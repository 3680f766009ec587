package guard

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/openclaw-security/bus/services/proxy/internal/detect/seen"
)

const (
	defaultTimeout = 2 * time.Second
	// maxHarmless bounds the texts that are remembered, each in some 50 bytes.
	maxHarmless = 1 << 16
	maxConns    = 64
)

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
	Now     func() time.Time // time.Now if nil
}

// Client asks the guard. It is safe for concurrent use.
type Client struct {
	config   Config
	http     *http.Client
	breaker  *breaker
	hash     *seen.Hash // forked for each check
	harmless *seen.Cache[struct{}]
}

// New returns a client. Nothing is asked until the first Check.
func New(c Config) *Client {
	c.Timeout = cmp.Or(c.Timeout, defaultTimeout)
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Client{
		config: c,
		http: &http.Client{
			// A guard is a neighbour: a proxy from the environment has no
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
		breaker:  newBreaker(c.Now, c.OnState),
		hash:     seen.NewHash(),
		harmless: seen.NewCache[struct{}](maxHarmless),
	}
}

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// State is nil while the guard is asked, else why it is not.
func (c *Client) State() error { return c.breaker.state() }

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
	unseen, keys := c.unseen(texts)
	for b := range batches(unseen) {
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

// unseen returns those of texts that have to be asked about, each once, and
// their keys.
func (c *Client) unseen(texts [][]byte) (unseen [][]byte, keys []seen.Key) {
	hash := c.hash.Fork()
	within := make(map[seen.Key]bool)
	for _, text := range texts {
		if len(text) == 0 {
			continue
		}
		key := hash.Sum(0, text)
		if _, known := c.harmless.Get(key); known || within[key] {
			continue
		}
		within[key] = true
		unseen = append(unseen, text)
		keys = append(keys, key)
	}
	return unseen, keys
}

// question asks one question through the breaker.
func (c *Client) question(ctx context.Context, messages []string) (answer, error) {
	done, err := c.breaker.enter()
	if err != nil {
		return answer{}, err
	}
	// The caller's going away says nothing about the guard.
	a, err := c.ask(ctx, messages)
	if err != nil && ctx.Err() != nil {
		done(errAbandoned)
		return answer{}, fmt.Errorf("asking the guard: %w", context.Cause(ctx))
	}
	done(err)
	return a, err
}
