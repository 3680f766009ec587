package httpserve

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
)

// Hosts are the names under which clients reach a server. A web page can have
// its own name resolve to the server's address, and a browser then takes both
// for one origin (DNS rebinding). It needs a name for that, which is why every
// IP address and localhost are always allowed.
type Hosts struct {
	names   []string
	setting string
}

// NewHosts allows the host names names. Setting is where an operator adds more,
// for the text of a refusal.
func NewHosts(setting string, names ...string) (*Hosts, error) {
	h := &Hosts{names: []string{"localhost"}, setting: setting}
	for _, host := range names {
		name := hostname(host)
		if name == "" || name != strings.ToLower(host) {
			return nil, fmt.Errorf("%.100q is not a host name", host)
		}
		h.names = append(h.names, name)
	}
	return h, nil
}

// AddOwn allows the host of the configured address addr (host:port), and the
// name that the system gives to this machine or container.
func (h *Hosts) AddOwn(addr string) {
	own, _ := os.Hostname()
	for _, name := range []string{hostname(addr), hostname(own)} {
		if name != "" {
			h.names = append(h.names, name)
		}
	}
}

// Allow reports whether host, which may have a port, is a name of the server's.
func (h *Hosts) Allow(host string) bool {
	name := hostname(host)
	if slices.Contains(h.names, name) {
		return true
	}
	_, err := netip.ParseAddr(name)
	return err == nil
}

// Handler hands to next what was sent to a name of the server's, and answers
// anything else with 421.
func (h *Hosts) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h.Allow(r.Host) {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		http.Error(w, fmt.Sprintf("this server does not answer to the host name %.100q; %s adds names", r.Host, h.setting), http.StatusMisdirectedRequest)
	})
}

// hostname is the host of host or host:port, as names are compared; empty if
// what stands for the port is none.
func hostname(hostport string) string {
	host, port, err := net.SplitHostPort(hostport)
	switch {
	case err == nil && strings.Trim(port, "0123456789") != "":
		return ""
	case err != nil:
		host = strings.TrimSuffix(strings.TrimPrefix(hostport, "["), "]")
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}
