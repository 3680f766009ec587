package proxy

import (
	"errors"
	"net"
	"strings"
	"time"

	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/proxy/internal/answer"
	"github.com/openclaw-security/bus/services/proxy/internal/detect"
	"github.com/openclaw-security/bus/services/proxy/internal/inspect"
	"github.com/openclaw-security/bus/services/proxy/internal/policy"
	"github.com/openclaw-security/bus/services/proxy/internal/spool"
)

// Config says whom the proxy serves, where it forwards to and what it looks for.
type Config struct {
	NATS  config.NATS
	LLM   LLM
	Guard Guard
	Host  string `env:"OPENCLAW_HOST" doc:"Name of this machine on the bus. Unset means the system's host name."`

	Addr         string        `env:"PROXY_ADDR, default=127.0.0.1:8080" empty:"allowed" doc:"Address and port to serve on. secbus up runs no proxy if it is empty."`
	Hosts        []string      `env:"PROXY_HOSTS, default=security-llm-proxy" doc:"Names under which clients reach the proxy, separated by commas. localhost and IP addresses always work; any other Host is refused, since a web page could have sent it."`
	ClientTokens config.Secret `env:"PROXY_CLIENT_TOKENS" doc:"Tokens that clients must present in the place of an API key, as name=token, separated by commas. Unset means that anybody who reaches the proxy may use it."`
	Paths        []string      `env:"PROXY_PATHS" doc:"Further requests to let through, such as GET /v1/evals/{id}, separated by commas. Their bodies are judged as uploaded files are, and forwarded as they came."`
	WebSocket    bool          `env:"PROXY_WEBSOCKET, default=false" doc:"Serve OpenAI's Realtime API over WebSocket. What passes there is neither inspected nor held; only that it was opened is recorded."`
	MaxBody      int64         `env:"PROXY_MAX_BODY, default=33554432" doc:"Largest request body, in bytes, from 1024 to 268435456; a larger one is refused with 413."`
	MaxUpload    int64         `env:"PROXY_MAX_UPLOAD, default=536870912" doc:"Largest upload of files, in bytes, from 1024 to 17179869184; it passes as it comes, and a line of it, which may be a request, has at most PROXY_MAX_BODY."`
	MaxCall      int64         `env:"PROXY_MAX_CALL, default=4194304" doc:"Largest arguments of one tool call in an answer, in bytes, from 1024 to 33554432; an answer with larger ones is refused."`
	Memory       int64         `env:"PROXY_MEMORY, default=301989888" doc:"How many bytes requests, their inspection and held answers may take in sum; one client gets three quarters of them. The process as a whole takes about 120 MiB more."`
	MemoryWait   time.Duration `env:"PROXY_MEMORY_WAIT, default=10s" doc:"How long a request or an answer waits for memory before it is refused with 503."`
	Conns        int           `env:"PROXY_CONNECTIONS, default=2048" doc:"How many connections of clients may be open; one address gets half of them. An idle one is closed for one too many."`
	HeaderWait   time.Duration `env:"PROXY_HEADER_TIMEOUT, default=10m" doc:"How long the provider may take until its answer begins."`
	IdleWait     time.Duration `env:"PROXY_IDLE_TIMEOUT, default=5m" doc:"How long an answer may go without a byte before it is broken off."`

	Detections detect.Modes  `env:"PROXY_DETECTIONS" doc:"Modes of the built-in detections where they are not the defaults, such as secret=enforce,hidden-unicode=off. Modes are off, observe and enforce."`
	Canaries   config.Secret `env:"PROXY_CANARIES" doc:"Invented secrets of at least 12 characters, separated by commas, to leave where nobody should look: a request or an answer that holds one is stopped."`

	AuditDir      string `env:"PROXY_AUDIT_DIR, default=proxy-audit" doc:"Directory in which records wait for NATS. secbus up keeps it in its data directory."`
	AuditMaxBytes int64  `env:"PROXY_AUDIT_MAX_BYTES, default=268435456" doc:"How many bytes records may take at most while they wait for NATS, at least 8388608."`
	AuditFull     string `env:"PROXY_AUDIT_FULL, default=refuse" doc:"What happens to a request of which no record can be kept: refuse it, or serve it without one."`
	AuditContent  bool   `env:"PROXY_AUDIT_CONTENT, default=false" doc:"Record what is new in each prompt, and the answer's text, with known secrets taken out. Otherwise only sizes, names and a keyed hash are."`

	Flood int `env:"ALERT_FLOOD, default=200" doc:"How many alerts of one detection the proxy may raise in a minute. What is over, until a minute in which there are fewer, stands in the audit records alone, and one alert a minute counts it. From 1 to 100000; 0 is no limit."`

	// Listener, if it is set, is served in place of Addr.
	Listener net.Listener
}

// Validate implements the check that [config.Load] makes.
func (c Config) Validate() error {
	errs := []error{
		config.Between("PROXY_MAX_BODY", c.MaxBody, 1<<10, 256<<20),
		config.Between("PROXY_MAX_UPLOAD", c.MaxUpload, 1<<10, 16<<30),
		config.Between("PROXY_MAX_CALL", c.MaxCall, 1<<10, answer.DefaultMaxBody),
		config.Between("PROXY_MEMORY", c.Memory, 0, 1<<40),
		config.Between("PROXY_MEMORY_WAIT", c.MemoryWait, 0, 10*time.Minute),
		config.Between("PROXY_CONNECTIONS", c.Conns, 2, 1<<20),
		config.Between("PROXY_HEADER_TIMEOUT", c.HeaderWait, time.Second, 24*time.Hour),
		config.Between("PROXY_IDLE_TIMEOUT", c.IdleWait, time.Second, 24*time.Hour),
		config.Between("PROXY_AUDIT_MAX_BYTES", c.AuditMaxBytes, spool.MinBytes, 1<<40),
		config.Between("ALERT_FLOOD", c.Flood, 0, 100_000),
		config.OneOf("PROXY_AUDIT_FULL", c.AuditFull, policy.RefuseUnrecorded, policy.ServeUnrecorded),
	}
	if needs := neededMemory(c.MaxBody); c.clientMemory() < needs {
		errs = append(errs, config.Faultf("PROXY_MEMORY", "%d is too little for one body of PROXY_MAX_BODY=%d: it takes at least %d", c.Memory, c.MaxBody, needs/3*4+4))
	}
	if c.Addr != "" {
		if _, _, err := net.SplitHostPort(c.Addr); err != nil {
			errs = append(errs, config.Faultf("PROXY_ADDR", "%.100q is not of the form host:port", c.Addr))
		}
	}
	if err := c.Detections.Validate(); err != nil {
		errs = append(errs, config.Faultf("PROXY_DETECTIONS", "%w", err))
	}
	if _, err := c.clientTokens(); err != nil {
		errs = append(errs, err)
	}
	for _, canary := range c.canaries() {
		if len(canary.Reveal()) < detect.MinValueBytes {
			errs = append(errs, config.Faultf("PROXY_CANARIES", "one of them is shorter than %d characters, and would be met by chance", detect.MinValueBytes))
		}
	}
	return errors.Join(errs...)
}

// clientMemory is what one client may take of the memory.
func (c Config) clientMemory() int64 { return c.Memory / 4 * 3 }

// neededMemory is what it takes at most to read one body and to inspect it.
func neededMemory(body int64) int64 {
	return exchangeWeight + max(body*2, body+inspect.MaxWeight(body))
}

// clientTokens are the tokens by client. Errors show nothing of them.
func (c Config) clientTokens() (map[string]config.Secret, error) {
	tokens := make(map[string]config.Secret)
	for i, pair := range list(c.ClientTokens) {
		name, token, ok := strings.Cut(pair, "=")
		switch {
		case !ok || name == "" || len(token) < minToken:
			return nil, config.Faultf("PROXY_CLIENT_TOKENS", "number %d is not of the form name=token with a token of at least %d characters", i+1, minToken)
		case !tokens[name].IsZero():
			return nil, config.Faultf("PROXY_CLIENT_TOKENS", "%.50q is named twice", name)
		}
		tokens[name] = config.NewSecret(token)
	}
	return tokens, nil
}

// minToken is the minimum length of a client's token, in bytes.
const minToken = 16

func (c Config) canaries() []config.Secret {
	var canaries []config.Secret
	for _, canary := range list(c.Canaries) {
		canaries = append(canaries, config.NewSecret(canary))
	}
	return canaries
}

// list are the parts of a secret that holds several.
func list(s config.Secret) []string {
	var parts []string
	for part := range strings.SplitSeq(s.Reveal(), ",") {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	return parts
}

// Guard says whether and where a classifier is asked about prompts and tool
// calls.
type Guard struct {
	Enabled   bool          `env:"GUARD_ENABLED, default=false" doc:"Ask the guard at GUARD_URL about what is new in each request, and about each tool call."`
	URL       string        `env:"GUARD_URL" doc:"URL of the guard; required if GUARD_ENABLED is true. secbus up runs the shipped guard if it is unset."`
	Threshold float64       `env:"GUARD_THRESHOLD, default=0.8" doc:"Score from 0 to 1 at and above which what the guard was asked about is blocked."`
	Timeout   time.Duration `env:"GUARD_TIMEOUT, default=2s" doc:"How long the guard may take for one answer, from 10ms to 1m."`
	FailOpen  bool          `env:"GUARD_FAIL_OPEN, default=false" doc:"Let requests pass while the guard does not answer. Each is recorded as such."`
}

// Validate implements the check that [config.Load] makes.
func (g Guard) Validate() error {
	errs := []error{
		config.Between("GUARD_THRESHOLD", g.Threshold, 0, 1),
		config.Between("GUARD_TIMEOUT", g.Timeout, 10*time.Millisecond, time.Minute),
	}
	switch {
	case g.URL != "":
		errs = append(errs, config.URL("GUARD_URL", g.URL, "http", "https"))
	case g.Enabled:
		errs = append(errs, config.Faultf("GUARD_URL", "required while GUARD_ENABLED is true"))
	}
	return errors.Join(errs...)
}
