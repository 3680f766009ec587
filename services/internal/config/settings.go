package config

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/nats-io/nkeys"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/httpserve"
)

// NATS says how to reach the bus and as whom.
type NATS struct {
	URL      string `env:"NATS_URL, default=nats://127.0.0.1:4222" doc:"NATS servers to connect to, separated by commas; the scheme is nats, tls, ws or wss."`
	NKeySeed Secret `env:"NATS_NKEY_SEED" doc:"Seed of the NKey user to connect as (starts with SU); unset connects without credentials."`
}

// Validate implements the check that [Load] makes.
func (n NATS) Validate() error {
	return errors.Join(n.validateURL(), n.validateSeed())
}

func (n NATS) validateURL() error {
	// Of the whole list first: a password may have a comma in it.
	if err := noCredentials("NATS_URL", n.URL); err != nil {
		return err
	}
	for server := range strings.SplitSeq(n.URL, ",") {
		if err := URL("NATS_URL", strings.TrimSpace(server), "nats", "tls", "ws", "wss"); err != nil {
			return err
		}
	}
	return nil
}

func (n NATS) validateSeed() error {
	if n.NKeySeed.IsZero() {
		return nil
	}
	prefix, _, err := nkeys.DecodeSeed([]byte(n.NKeySeed.Reveal()))
	if err != nil || prefix != nkeys.PrefixByteUser {
		return Faultf("NATS_NKEY_SEED", "not the seed of an NKey user (58 characters that start with SU)")
	}
	return nil
}

// Key returns the NKey pair to connect with, nil if there is none.
func (n NATS) Key() (nkeys.KeyPair, error) {
	if n.NKeySeed.IsZero() {
		return nil, nil
	}
	key, err := nkeys.FromSeed([]byte(n.NKeySeed.Reveal()))
	if err != nil {
		return nil, Faultf("NATS_NKEY_SEED", "not usable: %w", err)
	}
	return key, nil
}

// Log says what a service logs and how.
type Log struct {
	Level  string `env:"LOG_LEVEL, default=info" doc:"Least severe level that is logged: debug, info, warn or error."`
	Format string `env:"LOG_FORMAT, default=auto" doc:"text, json, or auto for text on a terminal and JSON otherwise."`
}

// Validate implements the check that [Load] makes.
func (l Log) Validate() error {
	return errors.Join(
		OneOf("LOG_LEVEL", l.Level, "debug", "info", "warn", "error"),
		OneOf("LOG_FORMAT", l.Format, "auto", "text", "json"),
	)
}

// Admin says where a service serves its health and its metrics.
type Admin struct {
	Addr        string   `env:"ADMIN_ADDR, default=127.0.0.1:9600" empty:"allowed" doc:"Address (host:port) that serves /healthz, /readyz and /metrics; empty serves none, port 0 takes a free one."`
	Hosts       []string `env:"ADMIN_HOSTS" doc:"Names under which clients reach ADMIN_ADDR, separated by commas, besides localhost, IP addresses, the host of ADMIN_ADDR and the name of the machine. Any other Host is refused, since a web page could have sent it."`
	AllowRemote bool     `env:"ADMIN_ALLOW_REMOTE, default=false" doc:"Allow ADMIN_ADDR to be reachable from other machines; it has no authentication."`
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
	if _, err := httpserve.NewHosts("ADMIN_HOSTS", a.Hosts...); err != nil {
		return Faultf("ADMIN_HOSTS", "%w", err)
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

// HostName is the name of this machine on the bus: configured if that is set,
// else the system's.
func HostName(configured string) string {
	if configured != "" {
		return proto.Slug(configured)
	}
	name, err := os.Hostname()
	if err != nil {
		name = "localhost"
	}
	return proto.Slug(name)
}

// Alert says which alerts reach the owner and how many.
type Alert struct {
	MaxPerMinute int            `env:"ALERT_MAX_PER_MINUTE, default=10" doc:"Most messages to one chat in any 60 seconds, from 1 to 60; what is over becomes a digest."`
	MinSeverity  proto.Severity `env:"ALERT_MIN_SEVERITY, default=medium" doc:"Least severity that is sent: info, low, medium, high or critical."`
}

// Validate implements the check that [Load] makes.
func (a Alert) Validate() error {
	return Between("ALERT_MAX_PER_MINUTE", a.MaxPerMinute, 1, 60)
}
