package openclaw

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// check says what is wrong with a value, each fault with its path.
type check func(path string, value any) []string

// The part of OpenClaw's schema that Configure writes into, in our own words: of
// src/config/zod-schema.core.ts and zod-schema.agent-model.ts of openclaw/openclaw, as
// they were in spring and in November 2026. Every object refuses keys that it does not
// know, and with one such key the gateway does not start.

func text(path string, value any) []string {
	if s, ok := value.(string); !ok || s == "" {
		return []string{path + ": must be a text that is not empty"}
	}
	return nil
}

func boolean(path string, value any) []string {
	if _, ok := value.(bool); !ok {
		return []string{path + ": must be true or false"}
	}
	return nil
}

func positive(path string, value any) []string {
	if n, ok := value.(float64); !ok || n <= 0 {
		return []string{path + ": must be a positive number"}
	}
	return nil
}

func anything(string, any) []string { return nil }

func oneOf(words ...string) check {
	return func(path string, value any) []string {
		if s, ok := value.(string); !ok || !slices.Contains(words, s) {
			return []string{path + ": must be one of " + strings.Join(words, ", ")}
		}
		return nil
	}
}

func list(element check) check {
	return func(path string, value any) (faults []string) {
		elements, ok := value.([]any)
		if !ok {
			return []string{path + ": must be a list"}
		}
		for i, e := range elements {
			faults = append(faults, element(fmt.Sprintf("%s[%d]", path, i), e)...)
		}
		return faults
	}
}

func mapOf(element check) check {
	return func(path string, value any) (faults []string) {
		members, ok := value.(map[string]any)
		if !ok {
			return []string{path + ": must be an object"}
		}
		for _, name := range slices.Sorted(maps.Keys(members)) {
			faults = append(faults, element(path+"."+name, members[name])...)
		}
		return faults
	}
}

// object is strict; names of required members end with an exclamation mark.
func object(members map[string]check) check {
	return func(path string, value any) (faults []string) {
		have, ok := value.(map[string]any)
		if !ok {
			return []string{path + ": must be an object"}
		}
		known := make(map[string]check)
		for name, c := range members {
			required := strings.HasSuffix(name, "!")
			name = strings.TrimSuffix(name, "!")
			known[name] = c
			if _, there := have[name]; required && !there {
				faults = append(faults, path+"."+name+": is missing")
			}
		}
		for _, name := range slices.Sorted(maps.Keys(have)) {
			if c, ok := known[name]; ok {
				faults = append(faults, c(path+"."+name, have[name])...)
			} else {
				faults = append(faults, path+"."+name+": is not known")
			}
		}
		return faults
	}
}

// either accepts what one of several does.
func either(checks ...check) check {
	return func(path string, value any) (faults []string) {
		for _, c := range checks {
			if faults = c(path, value); len(faults) == 0 {
				return nil
			}
		}
		return faults
	}
}

// releases are the schemas by the release for which they hold.
func releases() map[string]check {
	reference := object(map[string]check{"source!": oneOf("env", "file", "exec"), "provider!": text, "id!": text})
	secret := either(text, reference)
	modelChoice := either(text, object(map[string]check{"primary": text, "fallbacks": list(text)}))

	compat := map[string]check{
		"supportsStore": boolean, "supportsDeveloperRole": boolean, "supportsReasoningEffort": boolean, "supportsUsageInStreaming": boolean,
		"supportsTools": boolean, "supportsStrictMode": boolean, "maxTokensField": oneOf("max_tokens", "max_completion_tokens"),
	}
	apis := []string{"openai-completions", "openai-responses", "openai-codex-responses", "anthropic-messages", "google-generative-ai", "github-copilot", "bedrock-converse-stream", "ollama"}
	entry := map[string]check{
		"id!": text, "name!": text, "api": oneOf(apis...), "reasoning": boolean, "input": list(oneOf("text", "image")), "cost": anything,
		"contextWindow": positive, "maxTokens": positive, "headers": mapOf(text), "compat": object(compat),
	}
	provider := map[string]check{
		"baseUrl!": text, "apiKey": secret, "auth": oneOf("api-key", "aws-sdk", "oauth", "token"), "api": oneOf(apis...),
		"injectNumCtxForOpenAICompat": boolean, "headers": mapOf(secret), "authHeader": boolean, "models!": list(object(entry)),
	}
	spring := document(provider, map[string]check{"model": modelChoice, "imageModel": modelChoice, "workspace": text})

	compat = maps.Clone(compat)
	compat["sendSessionAffinityHeaders"], compat["sendSessionIdHeader"], compat["supportsPromptCacheKey"] = boolean, boolean, boolean
	apis = []string{"openai-completions", "openai-responses", "openai-chatgpt-responses", "azure-openai-responses", "anthropic-messages", "google-generative-ai", "google-vertex", "github-copilot", "bedrock-converse-stream", "ollama", "pi-messages"}
	entry = maps.Clone(entry)
	maps.Copy(entry, map[string]check{
		"api": oneOf(apis...), "input": list(oneOf("text", "image", "video", "audio")), "baseUrl": text, "contextTokens": positive, "params": anything,
		"compat": object(compat),
	})
	auth := either(
		object(map[string]check{"mode!": oneOf("provider-default")}),
		object(map[string]check{"mode!": oneOf("authorization-bearer"), "token!": secret}),
		object(map[string]check{"mode!": oneOf("header"), "headerName!": text, "value!": secret, "prefix": text}),
	)
	provider = maps.Clone(provider)
	delete(provider, "baseUrl!")
	delete(provider, "models!")
	maps.Copy(provider, map[string]check{
		"baseUrl": text, "models": list(object(entry)), "api": oneOf(apis...), "maxTokens": positive, "timeoutSeconds": positive, "params": anything,
		"request": object(map[string]check{"headers": mapOf(secret), "auth": auth, "proxy": anything, "tls": anything, "allowPrivateNetwork": boolean}),
	})
	november := document(provider, map[string]check{
		"model": modelChoice, "modelPolicy": object(map[string]check{"allow": list(text)}), "utilityModel": text, "imageModel": modelChoice, "workspace": text,
	})
	return map[string]check{"2026.3.13": spring, "2026.9.4": november}
}

// document is the whole file, of which only what concerns models is looked at.
func document(provider, defaults map[string]check) check {
	return func(path string, value any) []string {
		file, _ := value.(map[string]any)
		agents, _ := file["agents"].(map[string]any)
		faults := object(map[string]check{"mode": oneOf("merge", "replace"), "providers": mapOf(object(provider))})("models", orEmpty(file["models"]))
		return append(faults, object(defaults)("agents.defaults", orEmpty(agents["defaults"]))...)
	}
}

func orEmpty(value any) any {
	if value == nil {
		return map[string]any{}
	}
	return value
}

// throughProxy are our own rules for a provider that leads to the proxy: without an
// api it would speak Chat Completions, and without models releases of spring refuse it.
func throughProxy(value any) (faults []string) {
	suffixes := map[string]string{"anthropic-messages": "", "openai-responses": "/v1", "openai-completions": "/v1", "google-generative-ai": "/v1beta"}
	file, _ := value.(map[string]any)
	models, _ := file["models"].(map[string]any)
	all, _ := models["providers"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		one, _ := all[name].(map[string]any)
		base, _ := one["baseUrl"].(string)
		if !strings.Contains(base, "security-llm-proxy") && !strings.Contains(base, "host.docker.internal") && !strings.Contains(base, "127.0.0.1:8080") {
			continue
		}
		api, _ := one["api"].(string)
		suffix, known := suffixes[api]
		if entries, _ := one["models"].([]any); len(entries) == 0 {
			faults = append(faults, name+": has no models")
		}
		if !known {
			faults = append(faults, name+": has no api that the proxy speaks")
		} else if at := strings.Index(strings.TrimPrefix(base, "http://"), "/"); suffix != "" && !strings.HasSuffix(base, suffix) || suffix == "" && at >= 0 {
			faults = append(faults, name+": the path of "+base+" does not fit "+api)
		}
	}
	return faults
}
