package config

import (
	"errors"
	"net/url"
)

// LLM says which model provider the proxy forwards to, and with which key.
type LLM struct {
	APIBase     string `env:"LLM_API_BASE, default=https://api.anthropic.com" doc:"URL of the provider that requests are forwarded to."`
	APIKey      Secret `env:"LLM_API_KEY" doc:"Key that the proxy sends to the provider in place of the caller's."`
	APIProvider string `env:"LLM_API_PROVIDER, default=anthropic" doc:"API that LLM_API_BASE speaks: anthropic or openai."`
}

// Validate implements the check that [Load] makes.
func (l LLM) Validate() error {
	if err := errors.Join(
		URL("LLM_API_BASE", l.APIBase, "http", "https"),
		OneOf("LLM_API_PROVIDER", l.APIProvider, "anthropic", "openai"),
	); err != nil {
		return err
	}
	// Changing the provider and not the base would send one vendor's key to the
	// other.
	vendors := map[string]string{"api.anthropic.com": "anthropic", "api.openai.com": "openai"}
	base, err := url.Parse(l.APIBase)
	if err != nil {
		return Faultf("LLM_API_BASE", "%w", err)
	}
	if vendor := vendors[base.Hostname()]; vendor != "" && vendor != l.APIProvider {
		return Faultf("LLM_API_BASE", "%s belongs to %s, while LLM_API_PROVIDER is %s", base.Hostname(), vendor, l.APIProvider)
	}
	return nil
}
