package proxy

import (
	"errors"
	"net"
	"strings"
	"time"

	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/proxy/internal/audit"
	"github.com/openclaw-security/bus/services/proxy/internal/detect"
)

// Config says whom the proxy serves, where it forwards to and what it looks for.
type Config struct {
	NATS  config.NATS
	LLM   config.LLM
	Guard config.Guard
	Host  string `env:"OPENCLAW_HOST" doc:"Name of this machine on the bus. Unset means the system's host name."`

	Addr         string        `env:"PROXY_ADDR, default=127.0.0.1:8080" doc:"Address and port to serve on. secbus up runs no proxy if it is empty."`
	Hosts        []string      `env:"PROXY_HOSTS, default=security-llm-proxy" doc:"Names under which clients reach the proxy, separated by commas. localhost and IP addresses always work; any other Host is refused, since a web page could have sent it."`
	ClientTokens config.Secret `env:"PROXY_CLIENT_TOKENS" doc:"Tokens that clients must present in the place of an API key, as name=token, separated by commas. Unset means that whoever reaches the proxy may use it."`
	Paths        []string      `env:"PROXY_PATHS" doc:"Further requests to let through, such as GET /v1/files/{id}, separated by commas. Their bodies are forwarded without being understood."`
	WebSocket    bool          `env:"PROXY_WEBSOCKET, default=false" doc:"Serve OpenAI's Realtime API over WebSocket. What passes there is neither inspected nor held; only that it was opened is recorded."`
	MaxBody      int64         `env:"PROXY_MAX_BODY, default=33554432" doc:"Largest request body, in bytes, from 1024 to 268435456; a larger one is refused with 413."`
	HeaderWait   time.Duration `env:"PROXY_HEADER_TIMEOUT, default=10m" doc:"How long the provider may take until its answer begins."`
	IdleWait     time.Duration `env:"PROXY_IDLE_TIMEOUT, default=5m" doc:"How long an answer may go without a byte before it is broken off."`

	Detections detect.Modes  `env:"PROXY_DETECTIONS" doc:"Modes of the built-in detections where they are not the defaults, such as secret=enforce,hidden-unicode=off. Modes are off, observe and enforce."`
	Canaries   config.Secret `env:"PROXY_CANARIES" doc:"Invented secrets of at least 12 characters, separated by commas, to leave where nobody should look: a request or an answer with one in it is stopped."`

	AuditDir      string `env:"PROXY_AUDIT_DIR, default=proxy-audit" doc:"Directory in which records wait for NATS. secbus up keeps it in its data directory."`
	AuditMaxBytes int64  `env:"PROXY_AUDIT_MAX_BYTES, default=268435456" doc:"Most bytes that records may take while they wait for NATS, at least 8388608."`
	AuditFull     string `env:"PROXY_AUDIT_FULL, default=refuse" doc:"What happens to a request of which no record can be kept: refuse it, or serve it without one."`
	AuditContent  bool   `env:"PROXY_AUDIT_CONTENT, default=false" doc:"Record what is new in each prompt, and the answer's text, with known secrets taken out. Otherwise only sizes, names and a keyed hash are."`

	// Listener, if it is set, is served in place of Addr.
	Listener net.Listener
}

// Values of PROXY_AUDIT_FULL.
const (
	fullRefuse = "refuse"
	fullServe  = "serve"
)

// Validate implements the check that [config.Load] makes.
func (c Config) Validate() error {
	errs := []error{
		config.Between("PROXY_MAX_BODY", c.MaxBody, 1<<10, 256<<20),
		config.Between("PROXY_HEADER_TIMEOUT", c.HeaderWait, time.Second, 24*time.Hour),
		config.Between("PROXY_IDLE_TIMEOUT", c.IdleWait, time.Second, 24*time.Hour),
		config.Between("PROXY_AUDIT_MAX_BYTES", c.AuditMaxBytes, audit.MinBytes, 1<<40),
		config.OneOf("PROXY_AUDIT_FULL", c.AuditFull, fullRefuse, fullServe),
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

// minToken is the least length of a client's token, in bytes.
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
