package proxy

import (
	"cmp"
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/openclaw-security/bus/services/internal/config"
)

// LLM says which model providers the proxy forwards to, and with which keys.
//
// LLM_API_PROVIDER names the default one, to which LLM_API_BASE and LLM_API_KEY
// belong. The others exist if they have a key or a base of their own. LLM_UPSTREAMS
// has servers that are chosen by a path of their own, whatever the default one is.
type LLM struct {
	APIBase     string        `env:"LLM_API_BASE" doc:"URL of the default provider, without the /v1 of its paths. Unset means the vendor's own, such as https://api.anthropic.com."`
	APIKey      config.Secret `env:"LLM_API_KEY" doc:"Key that the proxy sends to the default provider in place of the caller's; for Anthropic also an OAuth token, sk-ant-oat…."`
	APIProvider string        `env:"LLM_API_PROVIDER, default=anthropic" doc:"API of the default provider: anthropic, openai (or compatible) or gemini."`

	AnthropicBase string        `env:"LLM_ANTHROPIC_API_BASE" doc:"As LLM_API_BASE, for Anthropic beside another default provider."`
	AnthropicKey  config.Secret `env:"LLM_ANTHROPIC_API_KEY" doc:"As LLM_API_KEY, for Anthropic beside another default provider."`
	OpenAIBase    string        `env:"LLM_OPENAI_API_BASE" doc:"As LLM_API_BASE, for OpenAI beside another default provider."`
	OpenAIKey     config.Secret `env:"LLM_OPENAI_API_KEY" doc:"As LLM_API_KEY, for OpenAI beside another default provider."`
	GeminiBase    string        `env:"LLM_GEMINI_API_BASE" doc:"As LLM_API_BASE, for Gemini beside another default provider."`
	GeminiKey     config.Secret `env:"LLM_GEMINI_API_KEY" doc:"As LLM_API_KEY, for Gemini beside another default provider."`

	Upstreams    []string      `env:"LLM_UPSTREAMS" doc:"Further servers, separated by commas, as name=URL or name:quirk=URL. Clients reach groq=https://api.groq.com/openai/v1 below /up/groq/v1. Quirks are anthropic and gemini (the API, else OpenAI's), azure (Azure OpenAI) and no-stream-options (it refuses stream_options; found out otherwise). Without a URL, openai:no-stream-options is about a provider of the other settings."`
	UpstreamKeys config.Secret `env:"LLM_UPSTREAM_KEYS" doc:"Keys of LLM_UPSTREAMS, as name=key, separated by commas; in a file also one a line. Those that are not named get requests without a key."`

	NoStreamOptions []string `env:"LLM_NO_STREAM_OPTIONS" doc:"Older form of the quirk no-stream-options: LLM_NO_STREAM_OPTIONS=openai is LLM_UPSTREAMS=openai:no-stream-options."`
}

// llmVendors are the providers and where their vendors serve them.
var llmVendors = []struct{ provider, base string }{
	{"anthropic", "https://api.anthropic.com"},
	{"openai", "https://api.openai.com"},
	{"gemini", "https://generativelanguage.googleapis.com"},
}

// LLMEndpoint is one provider that the proxy forwards to.
type LLMEndpoint struct {
	Name     string        // in LLM_UPSTREAMS; empty for a provider that has settings of its own
	Provider string        // anthropic, openai or gemini: the API that it speaks
	Base     string        // URL, without a name and a password if the setting has them
	Key      config.Secret // zero if there is none
	// KeySetting is the setting of Key. Without a key requests are forwarded
	// without one, as a model on one's own machine wants it; NeedsKey says that
	// this provider refuses them.
	KeySetting string
	NeedsKey   bool

	Azure           bool // it is Azure OpenAI
	NoStreamOptions bool // it refuses stream_options
}

// Label is what the endpoint is called in messages.
func (e LLMEndpoint) Label() string { return cmp.Or(e.Name, e.Provider) }

// Endpoints returns the providers that are configured, the default one first, and
// those of LLM_UPSTREAMS last.
func (l LLM) Endpoints() []LLMEndpoint {
	var all []LLMEndpoint
	named, _ := l.upstreams() // Validate reports the error
	for _, v := range llmVendors {
		base, key, setting := l.own(v.provider)
		if v.provider == l.APIProvider {
			base, key, setting = l.APIBase, l.APIKey, "LLM_API_KEY"
		} else if base == "" && key.IsZero() {
			continue
		}
		e := LLMEndpoint{Provider: v.provider, Base: withoutUser(base), Key: key, KeySetting: setting}
		if base == "" {
			e.Base = v.base
		}
		e.NeedsKey = vendorOf(e.Base) != ""
		e.NoStreamOptions = slices.Contains(l.NoStreamOptions, v.provider)
		for _, u := range named {
			if u.name == v.provider {
				e.Azure, e.NoStreamOptions = u.has(quirkAzure), e.NoStreamOptions || u.has(quirkNoStreamOptions)
			}
		}
		if v.provider == l.APIProvider {
			all = append([]LLMEndpoint{e}, all...)
		} else {
			all = append(all, e)
		}
	}
	for _, u := range named {
		if !u.isProvider() {
			all = append(all, u.endpoint())
		}
	}
	return all
}

// own are the settings of a provider that is not the default one.
func (l LLM) own(provider string) (base string, key config.Secret, keySetting string) {
	switch provider {
	case "anthropic":
		return l.AnthropicBase, l.AnthropicKey, "LLM_ANTHROPIC_API_KEY"
	case "openai":
		return l.OpenAIBase, l.OpenAIKey, "LLM_OPENAI_API_KEY"
	default:
		return l.GeminiBase, l.GeminiKey, "LLM_GEMINI_API_KEY"
	}
}

// vendorOf names the provider whose vendor serves base, empty if none does.
func vendorOf(base string) string {
	u, err := url.Parse(base)
	if err != nil {
		return ""
	}
	for _, v := range llmVendors {
		if own, _ := url.Parse(v.base); own.Hostname() == u.Hostname() {
			return v.provider
		}
	}
	return ""
}

// Validate implements the check that [config.Load] makes.
func (l LLM) Validate() error {
	errs := []error{
		config.OneOf("LLM_API_PROVIDER", l.APIProvider, "anthropic", "openai", "gemini"),
		llmBase("LLM_API_BASE", l.APIBase, "LLM_API_PROVIDER", l.APIProvider),
		llmBase("LLM_ANTHROPIC_API_BASE", l.AnthropicBase, "this setting", "anthropic"),
		llmBase("LLM_OPENAI_API_BASE", l.OpenAIBase, "this setting", "openai"),
		llmBase("LLM_GEMINI_API_BASE", l.GeminiBase, "this setting", "gemini"),
	}
	for _, v := range llmVendors {
		if base, key, setting := l.own(v.provider); v.provider == l.APIProvider && (base != "" || !key.IsZero()) {
			errs = append(errs, config.Faultf(setting, "%s is the default provider by LLM_API_PROVIDER: use LLM_API_KEY and LLM_API_BASE for it", v.provider))
		}
	}
	for _, name := range l.NoStreamOptions {
		errs = append(errs, config.OneOf("LLM_NO_STREAM_OPTIONS", name, "anthropic", "openai", "gemini"))
	}
	named, err := l.upstreams()
	errs = append(errs, err)
	for _, u := range named {
		if u.isProvider() && !slices.ContainsFunc(l.Endpoints(), func(e LLMEndpoint) bool { return e.Name == "" && e.Provider == u.name }) {
			errs = append(errs, config.Faultf("LLM_UPSTREAMS", "%s is not configured: it has neither a key nor a URL", u.name))
		}
	}
	return errors.Join(errs...)
}

// withoutUser is a URL without a name and a password. Neither is any use before
// a provider, which takes a key; and URLs are shown.
func withoutUser(base string) string {
	scheme, rest, ok := strings.Cut(base, "://")
	if !ok {
		return base
	}
	authority, path, slash := strings.Cut(rest, "/")
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		authority = authority[i+1:]
	}
	if slash {
		path = "/" + path
	}
	return scheme + "://" + authority + path
}

// llmBase checks a base, empty if it is the vendor's own. Changing the provider
// and not the base would send one vendor's key to another.
func llmBase(key, base, chosenBy, provider string) error {
	if base == "" {
		return nil
	}
	base = withoutUser(base)
	if err := config.URL(key, base, "http", "https"); err != nil {
		return err
	}
	if u, _ := url.Parse(base); u.RawQuery != "" || u.Fragment != "" {
		return config.Faultf(key, "%.100q has a query or a fragment", base)
	}
	if vendor := vendorOf(base); vendor != "" && vendor != provider {
		return config.Faultf(key, "%.100q belongs to %s, while %s says %s", base, vendor, chosenBy, provider)
	}
	return nil
}
