package guardstub

import (
	"errors"
	"net"
	"strconv"

	"github.com/openclaw-security/bus/services/guard-stub/internal/rules"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/httpserve"
)

// Config says where the guard is served and by which rules it judges.
type Config struct {
	Addr        string   `env:"GUARD_STUB_ADDR, default=127.0.0.1:8000" doc:"Address (host:port) that serves the guard; it has no authentication, so let only the proxy reach it. Port 0 takes a free one."`
	Hosts       []string `env:"GUARD_STUB_HOSTS, default=security-guard,guard" doc:"Names under which the proxy reaches the guard, separated by commas, besides localhost, IP addresses, the host of GUARD_STUB_ADDR and the name of the machine. Any other Host is refused, since a web page could have sent it."`
	Rules       string   `env:"GUARD_STUB_RULES" doc:"File of the rules to judge by. Unset means the rules that are built in."`
	MaxBody     int      `env:"GUARD_STUB_MAX_BODY, default=8388608" doc:"Largest request that is read, in bytes, from 1024 to 67108864."`
	Concurrency int      `env:"GUARD_STUB_CONCURRENCY, default=8" doc:"How many requests are read and judged at the same time, from 1 to 1024; others wait for a moment. Each may take four times its size in memory."`

	// Listener, if it is set, is served in place of Addr.
	Listener net.Listener
}

// Validate implements the check that [config.Load] makes.
func (c Config) Validate() error {
	_, rulesErr := c.loadRules()
	_, hostsErr := httpserve.NewHosts("GUARD_STUB_HOSTS", c.Hosts...)
	if hostsErr != nil {
		hostsErr = config.Faultf("GUARD_STUB_HOSTS", "%w", hostsErr)
	}
	return errors.Join(
		rulesErr,
		hostsErr,
		c.validateAddr(),
		config.Between("GUARD_STUB_MAX_BODY", c.MaxBody, 1<<10, 64<<20),
		config.Between("GUARD_STUB_CONCURRENCY", c.Concurrency, 1, 1<<10),
	)
}

func (c Config) validateAddr() error {
	_, port, err := net.SplitHostPort(c.Addr)
	if err != nil {
		return config.Faultf("GUARD_STUB_ADDR", "%.100q is not of the form host:port", c.Addr)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return config.Faultf("GUARD_STUB_ADDR", "%.100q has no port from 0 to 65535", c.Addr)
	}
	return nil
}

func (c Config) loadRules() (*rules.Set, error) {
	if c.Rules == "" {
		return rules.Default()
	}
	return rules.Load(c.Rules)
}
