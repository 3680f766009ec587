package forward

import (
	"net/http"
	"strings"

	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

// oauthPrefix begins the tokens that a Claude subscription gives out. They are
// taken as a bearer token only, and with oauthBeta among the betas only; as an
// API key they are answered with 401.
const (
	oauthPrefix = "sk-ant-oat"
	oauthBeta   = "oauth-2025-04-20"
)

// authenticate puts the key into a request header as provider wants it. The
// header must have come from requestHeader, so that there is no other.
func authenticate(h http.Header, provider llmapi.Provider, key string) {
	switch {
	case key == "":
	case provider == llmapi.Anthropic && strings.HasPrefix(key, oauthPrefix):
		h["Authorization"] = []string{"Bearer " + key}
		addBeta(h, oauthBeta)
	case provider == llmapi.Anthropic:
		h["X-Api-Key"] = []string{key}
	case provider == llmapi.Gemini:
		// Google also takes the key in the query, where it would end up in logs.
		h["X-Goog-Api-Key"] = []string{key}
	default:
		h["Authorization"] = []string{"Bearer " + key}
	}
}

// addBeta adds a beta to the caller's own, which stay as they are. The values
// belong to the incoming request and are not written to.
func addBeta(h http.Header, beta string) {
	const name = "Anthropic-Beta"
	for _, value := range h[name] {
		for one := range strings.SplitSeq(value, ",") {
			if strings.TrimSpace(one) == beta {
				return
			}
		}
	}
	h[name] = append(append([]string(nil), h[name]...), beta)
}
