package forward

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

// Limits of the connection to a provider.
const (
	dialTimeout      = 10 * time.Second
	handshakeTimeout = 10 * time.Second
	idleConnTimeout  = 90 * time.Second
	idleConns        = 512 // as many as there may be streams at a time

	// HTTP/2 keeps one connection for all requests and would use it for minutes
	// after it has died (https://go.dev/issue/56385), were it not for pings.
	pingAfter   = 15 * time.Second // without a frame
	pingTimeout = 15 * time.Second

	// The transport holds this much of an HTTP/2 answer that its client does not
	// read, in bytes. Its default of 4 MiB would be GiBs in all.
	streamBuffer = 128 << 10

	maxResponseHeader = 64 << 10
)

// UpstreamConfig says how one provider is reached.
type UpstreamConfig struct {
	Provider llmapi.Provider
	Azure    bool // it is Azure OpenAI

	// Base is an http or https URL to which the path of a request is added. If
	// it has a path that ends in the API's version, then the version is not
	// added again: Base https://openrouter.ai/api/v1 and /v1/chat/completions
	// give /api/v1/chat/completions. For OpenAI any path stands for /v1, as it
	// does in the setting base_url of OpenAI's clients. That of Azure OpenAI is the
	// resource's, with or without the /openai or /openai/v1 of its paths.
	Base string

	// Key authenticates to the provider; unset for a server that needs none.
	Key config.Secret

	// Redact are further values that no answer may show. They are looked for
	// with the key, and like it only from a length of 12 bytes.
	Redact []config.Secret

	HeaderTimeout time.Duration // from the request to the status; 0 means 10 minutes, because models think first
	IdleTimeout   time.Duration // between two reads of an answer's body; 0 means 5 minutes
	WriteTimeout  time.Duration // for a client to take what it is sent; 0 means 1 minute
}

// Upstream forwards to one provider. Its methods may be called concurrently.
type Upstream struct {
	provider     llmapi.Provider
	azure        bool
	base         *url.URL
	key          config.Secret
	secrets      *secrets
	idleTimeout  time.Duration
	writeTimeout time.Duration
	transport    *http.Transport
	buffers      sync.Pool
}

// bufferSize is how much of an answer is read at once, in bytes.
const bufferSize = 16 << 10

// NewUpstream returns an Upstream, which is to be closed. Its errors do not
// hold the key.
func NewUpstream(cfg UpstreamConfig) (*Upstream, error) {
	base, err := parseBase(cfg.Base)
	if err != nil {
		return nil, fmt.Errorf("base URL of %s: %w", cfg.Provider, err)
	}
	if cfg.Azure {
		base.Path = strings.TrimSuffix(strings.TrimSuffix(base.Path, "/v1"), "/openai")
	}
	// The transport's own error would come with every request.
	if strings.ContainsFunc(cfg.Key.Reveal(), func(c rune) bool { return c <= ' ' || c >= 0x7f }) {
		return nil, fmt.Errorf("the key of %s has a character that no header may hold", cfg.Provider)
	}
	return &Upstream{
		provider:     cfg.Provider,
		azure:        cfg.Azure,
		base:         base,
		key:          cfg.Key,
		secrets:      newSecrets(append([]config.Secret{cfg.Key}, cfg.Redact...)),
		idleTimeout:  orDefault(cfg.IdleTimeout, 5*time.Minute),
		writeTimeout: orDefault(cfg.WriteTimeout, time.Minute),
		transport: &http.Transport{
			Proxy:                  nil, // an environment variable may not choose who sees the key
			DialContext:            (&net.Dialer{Timeout: dialTimeout}).DialContext,
			TLSHandshakeTimeout:    handshakeTimeout,
			ResponseHeaderTimeout:  orDefault(cfg.HeaderTimeout, 10*time.Minute),
			IdleConnTimeout:        idleConnTimeout,
			MaxIdleConnsPerHost:    idleConns,
			MaxResponseHeaderBytes: maxResponseHeader,
			DisableCompression:     true,
			ForceAttemptHTTP2:      true, // the transport does not by itself with a dialer of one's own
			HTTP2: &http.HTTP2Config{
				SendPingTimeout:           pingAfter,
				PingTimeout:               pingTimeout,
				MaxReceiveBufferPerStream: streamBuffer,
			},
		},
		buffers: sync.Pool{New: func() any { return new([bufferSize]byte) }},
	}, nil
}

// Close closes the connections that are not in use.
func (u *Upstream) Close() { u.transport.CloseIdleConnections() }

func orDefault(d, otherwise time.Duration) time.Duration {
	if d <= 0 {
		return otherwise
	}
	return d
}

func parseBase(text string) (*url.URL, error) {
	base, err := url.Parse(text)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, errors.New("not an absolute http or https URL") // without the URL, which may hold a password
	}
	if base.User != nil || base.RawQuery != "" || base.Fragment != "" {
		return nil, errors.New("has more than scheme, host and path")
	}
	base.Path = strings.TrimSuffix(base.Path, "/")
	if base.Path != "" {
		if err := checkPath(base.EscapedPath()); err != nil {
			return nil, err
		}
	}
	return base, nil
}

// target is where a request on route goes.
func (u *Upstream) target(route Route) *url.URL {
	path := route.path
	version, rest, _ := strings.Cut(path[1:], "/")
	if version = "/" + version; u.azure {
		if version == "/v1" {
			path = "/openai" + path
		}
	} else if u.base.Path != "" && (u.provider == llmapi.OpenAI && version == "/v1" || strings.HasSuffix(u.base.Path, version)) {
		path = "/" + rest
	}
	// Neither path has a byte that would be escaped, so that what was matched is
	// what is sent.
	return &url.URL{Scheme: u.base.Scheme, Host: u.base.Host, Path: u.base.Path + path, RawQuery: route.query}
}

// request builds what goes upstream, but for its body.
func (u *Upstream) request(in *http.Request, x Exchange) *http.Request {
	header := requestHeader(in.Header)
	if x.Route.Body == JSON || x.Route.Body == OptionalJSON && len(x.Body) > 0 {
		// Match has seen that it is this, with or without a charset.
		header["Content-Type"] = []string{"application/json"}
	}
	u.authenticate(header)
	return &http.Request{
		Method:        x.Route.method,
		URL:           u.target(x.Route),
		Host:          u.base.Host,
		Header:        header,
		ContentLength: int64(len(x.Body)),
	}
}
