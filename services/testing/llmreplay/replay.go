package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/proxy"
	"github.com/openclaw-security/bus/services/testing/bustest"
	"github.com/openclaw-security/bus/services/testing/llmreplay/said"
	"github.com/openclaw-security/bus/services/testing/llmtest"
	"github.com/openclaw-security/bus/services/testing/proxytest"
	"github.com/openclaw-security/bus/services/testing/standin"
)

// patience is how long one replay, and the last record, may take.
const patience = 2 * time.Minute

// replayer replays recordings: each in each framing, one after the other, so that it is
// known which of them a request at the provider belongs to.
//
//	recording ─▶ client ─▶ proxy ─▶ provider ─▶ proxy ─▶ client ─▶ attempt ─┐
//	                         └─▶ records, alerts ─▶ journal ────────────────┴─▶ compare
type replayer struct {
	dir      string // for the bus and the proxies
	seed     uint64
	framings []framing
	environ  []string // settings of every proxy

	provider provider
	base     string // URL of the provider
	server   *bustest.Server
	journal  *proxytest.Journal
}

// attempt is what became of one replay.
type attempt struct {
	recording *recording
	framing   framing
	status    int
	header    http.Header
	body      []byte
	err       error // of the connection, or of reading the body
	sent      []sent
	requestID string

	entry       proxytest.Entry
	differences []difference
	lost        []string // request headers that have not arrived
	moved       bool     // comments or pings have passed a held call
}

// run replays all and compares.
func (r *replayer) run(ctx context.Context, recordings []recording) (attempts []*attempt, err error) {
	if r.server, err = bustest.StartServer(filepath.Join(r.dir, "nats"), nil); err != nil {
		return nil, fmt.Errorf("starting NATS: %w", err)
	}
	defer r.server.End()
	if err := r.server.Provision(ctx, bus.ProvisionConfig{}); err != nil {
		return nil, fmt.Errorf("provisioning the bus: %w", err)
	}
	conn, err := r.server.Connect(ctx, bus.RoleTail)
	if err != nil {
		return nil, fmt.Errorf("connecting to the bus: %w", err)
	}
	defer conn.Close()
	ctx, stop := context.WithCancel(ctx)
	parts, ctx := errgroup.WithContext(ctx)
	r.journal = proxytest.Open(ctx, conn)
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		stop()
		return nil, fmt.Errorf("opening a port for the provider: %w", err)
	}
	r.base = "http://" + l.Addr().String()
	parts.Go(func() error { return standin.Serve(ctx, l, &r.provider, nil) })
	parts.Go(func() error {
		defer stop()
		for _, group := range bySettings(recordings) {
			some, err := r.group(ctx, group)
			if err != nil {
				return err
			}
			attempts = append(attempts, some...)
		}
		return nil
	})
	return attempts, parts.Wait()
}

// bySettings groups recordings of the same settings, in the order in which these come first.
func bySettings(recordings []recording) [][]*recording {
	var groups [][]*recording
	for i := range recordings {
		one := &recordings[i]
		same := func(group []*recording) bool { return maps.Equal(group[0].Settings, one.Settings) }
		if g := slices.IndexFunc(groups, same); g >= 0 {
			groups[g] = append(groups[g], one)
		} else {
			groups = append(groups, []*recording{one})
		}
	}
	return groups
}

// group replays recordings of the same settings, with a proxy of their own.
func (r *replayer) group(ctx context.Context, group []*recording) (attempts []*attempt, err error) {
	p, err := proxytest.Start(ctx, r.settings(group))
	if err != nil {
		return nil, fmt.Errorf("starting a proxy with %v: %w", group[0].Settings, err)
	}
	defer func() { err = errors.Join(err, p.Stop()) }()
	client := &http.Client{
		Transport:     &http.Transport{DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	defer client.CloseIdleConnections()
	for _, f := range r.framings {
		for _, one := range group {
			a, err := r.replay(ctx, client, p.URL, one, f)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", one.Name, err)
			}
			attempts = append(attempts, a)
		}
	}
	if err := r.drain(ctx, client, p.URL, tokenOf(group[0], r.framings[0])); err != nil {
		return nil, err
	}
	for _, a := range attempts {
		a.entry = r.journal.Get(a.requestID)
		a.compare()
	}
	return attempts, nil
}

// settings are those of the proxy for a group.
func (r *replayer) settings(group []*recording) []string {
	own := group[0].Settings
	environ := append(r.server.Environ(proxy.Role), "PROXY_AUDIT_DIR="+filepath.Join(r.dir, "records"), "PROXY_AUDIT_MAX_BYTES=4294967296", "ALERT_FLOOD=0")
	standard := own["LLM_API_PROVIDER"]
	if standard == "" {
		standard = "anthropic"
	}
	for _, name := range []string{"anthropic", "openai", "gemini"} {
		prefix := "LLM_" + strings.ToUpper(name) + "_"
		if name == standard {
			prefix = "LLM_"
		}
		environ = append(environ, prefix+"API_BASE="+r.base, prefix+"API_KEY="+llmtest.Key)
	}
	var tokens []string
	for _, f := range r.framings {
		for _, one := range group {
			pair := clientOf(one, f) + "=" + tokenOf(one, f)
			if !slices.Contains(tokens, pair) {
				tokens = append(tokens, pair)
			}
		}
	}
	environ = append(environ, "PROXY_CLIENT_TOKENS="+strings.Join(tokens, ","))
	environ = append(environ, r.environ...)
	for name, value := range own {
		environ = append(environ, name+"="+strings.ReplaceAll(value, "{upstream}", r.base))
	}
	return environ
}

// clientOf is the client that a recording is replayed as. In each framing it is another:
// what a client has sent before is not judged again.
func clientOf(one *recording, f framing) string {
	return fmt.Sprintf("%s/%s", strings.NewReplacer(",", "_", "=", "_").Replace(one.client), f)
}

// tokenOf is the token of that client.
func tokenOf(one *recording, f framing) string {
	return fmt.Sprintf("replay-%016x", hash(clientOf(one, f)))
}

func hash(text string) uint64 {
	h := fnv.New64a()
	_, _ = io.WriteString(h, text)
	return h.Sum64()
}

// replay makes one request.
func (r *replayer) replay(ctx context.Context, client *http.Client, url string, one *recording, f framing) (*attempt, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("not ended after %s", patience))
	defer cancel()
	// Each has a seed of its own, so that one alone is replayed as it is among others.
	random := rand.New(rand.NewPCG(r.seed, hash(one.Name+string(f))))
	replies, err := one.replies(f, random)
	if err != nil {
		return nil, err
	}
	r.provider.give(replies)
	a := &attempt{recording: one, framing: f}
	request, err := one.request(ctx, url, tokenOf(one, f))
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err == nil {
		a.status, a.header = response.StatusCode, response.Header
		a.requestID = response.Header.Get(proxytest.HeaderRequestID)
		a.body, a.err = io.ReadAll(response.Body)
		_ = response.Body.Close()
	} else {
		a.err = err
	}
	a.sent = r.provider.requests()
	return a, nil
}

// replies are what the provider answers with.
func (one *recording) replies(f framing, random *rand.Rand) ([]reply, error) {
	responses := slices.Clone(one.Earlier)
	if one.Response != nil {
		responses = append(responses, *one.Response)
	}
	var all []reply
	for _, response := range responses {
		pieces, err := response.pieces()
		if err != nil {
			return nil, err
		}
		header := response.header()
		all = append(all, reply{response.Status, header, f.cut(pieces, header, random), response.Cut})
	}
	return all, nil
}

// credentials are left out of a request: the client's token stands in their place.
var credentials = []string{"Authorization", "X-Api-Key", "X-Goog-Api-Key", "Api-Key", "Proxy-Authorization", "Cookie"}

// request is the client's. Of its headers those of the connection are the client's own.
func (one *recording) request(ctx context.Context, url, token string) (*http.Request, error) {
	content := one.Request.bytes()
	request, err := http.NewRequestWithContext(ctx, one.Request.Method, url+one.Request.Path, bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	one.Request.Headers.set(request.Header)
	h := request.Header
	request.Close = strings.EqualFold(h.Get("Connection"), "close")
	for _, name := range append([]string{"Host", "Connection", "Content-Length", "Transfer-Encoding", "Accept-Encoding"}, credentials...) {
		if _, own := one.Settings["PROXY_CLIENT_TOKENS"]; !own || !slices.Contains(credentials, name) {
			h.Del(name)
		}
	}
	if len(content) > 0 && h.Get("Content-Type") == "" {
		h.Set("Content-Type", "application/json")
	}
	if _, own := one.Settings["PROXY_CLIENT_TOKENS"]; own {
		return request, nil
	}
	switch said.APIOf(one.Request.Path) {
	case said.Messages, said.Count:
		h.Set("X-Api-Key", token)
	case said.Gemini:
		h.Set("X-Goog-Api-Key", token)
	default:
		h.Set("Authorization", "Bearer "+token)
	}
	return request, nil
}

// drain waits until all that a proxy has recorded is in the journal: what it publishes
// is in order, so it waits for a last request, which is blocked with an alert because it
// holds the provider's key.
func (r *replayer) drain(ctx context.Context, client *http.Client, url, token string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("not ended after %s", patience))
	defer cancel()
	content, err := json.Marshal(map[string]any{
		"model": "last", "max_tokens": 1, "messages": []map[string]string{{"role": "user", "content": llmtest.Key}},
	})
	if err != nil {
		return err
	}
	last := recording{Request: request{Method: http.MethodPost, Path: "/v1/messages", body: body{JSON: content}}}
	request, err := last.request(ctx, url, token)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("making the last request: %w", err)
	}
	defer response.Body.Close()
	_, err = r.journal.Await(ctx, response.Header.Get(proxytest.HeaderRequestID), func(e proxytest.Entry) bool {
		return e.End != nil && len(e.Alerts) > 0
	})
	return err
}
