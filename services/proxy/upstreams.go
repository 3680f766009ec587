package proxy

import (
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/openclaw-security/bus/services/internal/config"
)

// The words of LLM_UPSTREAMS that say what is special about a server. Without one it
// speaks OpenAI's API as OpenAI does.
const (
	quirkAnthropic       = "anthropic"         // it speaks Anthropic's API
	quirkGemini          = "gemini"            // it speaks Gemini's API
	quirkAzure           = "azure"             // Azure OpenAI: paths, api-version and the header of the key
	quirkNoStreamOptions = "no-stream-options" // it refuses stream_options
)

var quirks = []string{quirkAnthropic, quirkGemini, quirkAzure, quirkNoStreamOptions}

// upstreamName is what a name looks like: it stands in the path of requests.
var upstreamName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

// upstream is an entry of LLM_UPSTREAMS.
type upstream struct {
	name, base string
	quirks     []string
	key        config.Secret
}

// has reports whether the entry names a quirk.
func (u upstream) has(quirk string) bool { return slices.Contains(u.quirks, quirk) }

// provider is whose API the server speaks.
func (u upstream) provider() string {
	switch {
	case u.has(quirkAnthropic):
		return "anthropic"
	case u.has(quirkGemini):
		return "gemini"
	}
	return "openai"
}

// isProvider reports whether the entry is about a provider of the other settings.
func (u upstream) isProvider() bool { return isProvider(u.name) }

func isProvider(name string) bool {
	return slices.ContainsFunc(llmVendors, func(v struct{ provider, base string }) bool { return v.provider == name })
}

// upstreams are the entries of LLM_UPSTREAMS with their keys, as far as they can be read.
func (l LLM) upstreams() ([]upstream, error) {
	keys, keysErr := l.upstreamKeys()
	errs := []error{keysErr}
	var all []upstream
	for _, entry := range l.Upstreams {
		head, base, hasBase := strings.Cut(strings.TrimSpace(entry), "=")
		words := strings.Split(head, ":")
		u := upstream{name: words[0], base: withoutUser(base), quirks: words[1:], key: keys[words[0]]}
		if err := u.validate(hasBase); err != nil {
			errs = append(errs, err)
			continue
		}
		if slices.ContainsFunc(all, func(o upstream) bool { return o.name == u.name }) {
			errs = append(errs, config.Faultf("LLM_UPSTREAMS", "%s is named twice", u.name))
			continue
		}
		all = append(all, u)
	}
	for name := range keys {
		if !slices.ContainsFunc(all, func(u upstream) bool { return u.name == name && !u.isProvider() }) {
			errs = append(errs, config.Faultf("LLM_UPSTREAM_KEYS", "%.50q is no name of LLM_UPSTREAMS that has a URL there", name))
		}
	}
	return all, errors.Join(errs...)
}

func (u upstream) validate(hasBase bool) error {
	fault := func(format string, args ...any) error { return config.Faultf("LLM_UPSTREAMS", format, args...) }
	if !upstreamName.MatchString(u.name) {
		return fault("%.50q is not of the form name=URL or name:quirk=URL, with a name of lower-case letters, digits and dashes", u.name)
	}
	for _, word := range u.quirks {
		if !slices.Contains(quirks, word) {
			return fault("%s: %.50q is not one of the quirks %s", u.name, word, strings.Join(quirks, ", "))
		}
	}
	switch {
	case u.isProvider() && hasBase:
		return fault("%s: the URL of this provider is LLM_%s_API_BASE, or LLM_API_BASE if it is the default one", u.name, strings.ToUpper(u.name))
	case u.isProvider() && (u.has(quirkAnthropic) || u.has(quirkGemini) || u.has(quirkAzure) && u.name != "openai"):
		return fault("%s: which API this provider speaks is in its name", u.name)
	case u.isProvider():
		return nil
	case u.base == "":
		return fault("%s has no URL: %s=https://…", u.name, u.name)
	case u.has(quirkAnthropic) && u.has(quirkGemini) || u.has(quirkAzure) && u.provider() != "openai":
		return fault("%s: a server speaks one API: %s", u.name, strings.Join(u.quirks, ", "))
	}
	return llmBase("LLM_UPSTREAMS", u.base, u.name, u.provider())
}

// upstreamKeys are the keys by name. A file may have one a line. Errors show nothing of them.
func (l LLM) upstreamKeys() (map[string]config.Secret, error) {
	keys := make(map[string]config.Secret)
	text := strings.NewReplacer("\r", "", "\n", ",").Replace(l.UpstreamKeys.Reveal())
	for i, pair := range list(config.NewSecret(text)) {
		name, key, ok := strings.Cut(pair, "=")
		switch {
		case !ok || !upstreamName.MatchString(name) || key == "":
			return nil, config.Faultf("LLM_UPSTREAM_KEYS", "number %d is not of the form name=key, with a name of LLM_UPSTREAMS", i+1)
		case !keys[name].IsZero():
			return nil, config.Faultf("LLM_UPSTREAM_KEYS", "%.50q is named twice", name)
		}
		keys[name] = config.NewSecret(key)
	}
	return keys, nil
}

// endpoint is the entry as a place to forward to.
func (u upstream) endpoint() LLMEndpoint {
	return LLMEndpoint{
		Name: u.name, Provider: u.provider(), Base: u.base, Key: u.key,
		KeySetting: "LLM_UPSTREAM_KEYS", NeedsKey: vendorOf(u.base) != "",
		Azure: u.has(quirkAzure), NoStreamOptions: u.has(quirkNoStreamOptions),
	}
}
