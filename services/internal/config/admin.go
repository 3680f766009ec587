package config

import (
	"net"
	"net/netip"
	"strconv"
)

// Admin says where a service serves its health and its metrics.
type Admin struct {
	Addr        string `env:"ADMIN_ADDR, default=127.0.0.1:9600" empty:"allowed" doc:"Address (host:port) that serves /healthz, /readyz and /metrics; empty serves none, port 0 takes a free one."`
	AllowRemote bool   `env:"ADMIN_ALLOW_REMOTE, default=false" doc:"Allow ADMIN_ADDR to be reachable from other machines; it has no authentication."`
}

// Validate implements the check that [Load] makes: what the address serves
// tells an attacker what is watched and whether watching works, so that it
// leaves the machine only if the operator says so.
func (a Admin) Validate() error {
	if a.Addr == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(a.Addr)
	if err != nil {
		return Faultf("ADMIN_ADDR", "%.100q is not of the form host:port", a.Addr)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return Faultf("ADMIN_ADDR", "%.100q has no port from 0 to 65535", a.Addr)
	}
	if !a.AllowRemote && !isLoopback(host) {
		return Faultf("ADMIN_ADDR", "%.100q can be reached from other machines; use 127.0.0.1:%s, or set ADMIN_ALLOW_REMOTE=true if that is intended", a.Addr, port)
	}
	return nil
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}
