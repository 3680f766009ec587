package check

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/openclaw-security/bus/services/internal/config"
)

// Endpoint is something that replies over HTTP.
type Endpoint struct {
	Name string
	URL  string // without a path
	// Assumed says that nobody named the address: if nothing replies there, that
	// may be the reason.
	Assumed bool
}

// Assume returns where something listens by its settings, nil if it does not, or
// if the port is chosen only when it does.
func Assume(name, addr string) *Endpoint {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || port == "0" {
		return nil
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return &Endpoint{Name: name, URL: "http://" + net.JoinHostPort(host, port), Assumed: true}
}

// ParseEndpoint reads [name=]host:port or [name=]URL, the value of a flag or
// setting.
func ParseEndpoint(flag, value string) (Endpoint, error) {
	name, addr, named := strings.Cut(value, "=")
	if !named {
		name, addr = "", value
	}
	addr = strings.TrimSuffix(strings.TrimSpace(addr), "/")
	if !strings.Contains(addr, "://") {
		addr = "http://" + addr
	}
	if err := config.URL(flag, addr, "http", "https"); err != nil {
		return Endpoint{}, fmt.Errorf("%s: %w", flag, err)
	}
	_, host, _ := strings.Cut(addr, "://")
	return Endpoint{Name: cmp.Or(strings.TrimSpace(name), host), URL: addr}, nil
}

// MaxReply bounds what is read of a reply, in bytes.
const MaxReply = 256 << 10

// GetJSON asks for a JSON document, with any status of the reply. It goes
// straight to the address: it follows no redirect, and no HTTP proxy of the
// environment.
func GetJSON(ctx context.Context, address string, v any) error {
	transport := &http.Transport{DisableKeepAlives: true}
	client := http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return fmt.Errorf("preparing the request: %w", withoutURL(err))
	}
	reply, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("asking: %w", withoutURL(err))
	}
	defer reply.Body.Close()
	body, err := io.ReadAll(io.LimitReader(reply.Body, MaxReply))
	if err != nil {
		return fmt.Errorf("reading the reply: %w", err)
	}
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("reading the reply (HTTP status %d): %w", reply.StatusCode, err)
	}
	return nil
}

// withoutURL drops the address from an error of net/http, because the finding
// already names the address.
func withoutURL(err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}
