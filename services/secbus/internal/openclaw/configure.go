// Package openclaw writes OpenClaw's configuration so that its models are reached
// through the proxy, takes that back, and says where OpenClaw has keys of its own.
//
//	openclaw.json ─▶ Parse ─▶ Configure ─▶ Apply ─▶ openclaw.json
//	                                         └─▶ undo directory ─▶ Restore
package openclaw

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Options say how OpenClaw reaches the proxy.
type Options struct {
	Base      string   // URL of the proxy, without a path
	Providers []string // of the proxy: anthropic, openai, gemini; the first is the default
	Upstreams []string // of LLM_UPSTREAMS without their URLs: name, or name:quirk
	Version   string   // of OpenClaw, such as 2026.9.4; "" if it is not known
	Token     string   // of PROXY_CLIENT_TOKENS; "" for none
}

// provider is how OpenClaw speaks to one of the proxy's providers.
type provider struct {
	id, api, path string
	model         model
}

// model is an entry of a provider's list. What it says of a model's size counts more
// than OpenClaw's own catalog (docs/gateway/config-tools/custom-providers.md of
// openclaw/openclaw), so that only what the vendors publish stands here.
type model struct {
	ID            string   `json:"id"`
	Name          string   `json:"name"`
	Reasoning     bool     `json:"reasoning,omitempty"`
	Input         []string `json:"input,omitempty"`
	ContextWindow int      `json:"contextWindow,omitempty"`
	MaxTokens     int      `json:"maxTokens,omitempty"`
	Compat        *compat  `json:"compat,omitempty"`
}

type compat struct {
	SendSessionAffinityHeaders bool `json:"sendSessionAffinityHeaders"`
}

func providers() map[string]provider {
	vision := []string{"text", "image"}
	return map[string]provider{
		"anthropic": {"anthropic", "anthropic-messages", "", model{ID: "claude-opus-5", Name: "Claude Opus 5", Reasoning: true, Input: vision, ContextWindow: 1_000_000, MaxTokens: 128_000}},
		"openai":    {"openai", "openai-responses", "/v1", model{ID: "gpt-5.6", Name: "GPT-5.6", Reasoning: true, Input: vision, ContextWindow: 400_000, MaxTokens: 128_000}},
		"gemini":    {"google", "google-generative-ai", "/v1beta", model{ID: "gemini-3.1-pro-preview", Name: "Gemini 3.1 Pro", Reasoning: true, Input: vision}},
	}
}

// upstream is how OpenClaw speaks to a server of LLM_UPSTREAMS. Which models that has,
// only its owner knows.
func upstream(entry string) (provider, error) {
	words := strings.Split(entry, ":")
	p := provider{id: words[0], api: "openai-completions", path: "/up/" + words[0]}
	if words[0] == "" || strings.Trim(words[0], "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return provider{}, fmt.Errorf("%.50q is not the name of an upstream", entry)
	}
	switch {
	case slices.Contains(words[1:], "anthropic"):
		p.api = "anthropic-messages"
		return p, nil
	case slices.Contains(words[1:], "gemini"):
		p.api, p.path = "google-generative-ai", p.path+"/v1beta"
		return p, nil
	case slices.Contains(words[1:], "azure"):
		p.api = "openai-responses"
	}
	p.path += "/v1"
	return p, nil
}

// newest are the releases of which the configuration has agents.defaults.modelPolicy,
// models.providers.*.request and compat.sendSessionAffinityHeaders. A key that a
// release does not know keeps its gateway from starting.
var newest = []int{2026, 9}

// accepts reports whether a release is at least of the newest.
func accepts(version string) bool {
	var parts []int
	for word := range strings.SplitSeq(version, ".") {
		n, err := strconv.Atoi(word)
		if err != nil {
			break
		}
		parts = append(parts, n)
	}
	return len(parts) > 0 && slices.Compare(parts, newest) >= 0
}

// choice is which model is asked, and which if that fails.
type choice struct {
	Primary   string   `json:"primary"`
	Fallbacks []string `json:"fallbacks,omitempty"`
}

// Configure changes d so that OpenClaw reaches its models through the proxy, with
// another model to fall back to where the proxy has one. The notes say what it leaves
// for the owner to decide.
func Configure(d *Document, o Options) (notes []string, err error) {
	version := o.Version
	if version == "" {
		touched, _ := d.Get("meta", "lastTouchedVersion")
		version, _ = touched.(string)
	}
	c := configuring{Document: d, options: o, newest: accepts(version)}
	for _, name := range o.Providers {
		p, known := providers()[name]
		if !known {
			return nil, fmt.Errorf("the proxy has no provider %.50q", name)
		}
		c.through = append(c.through, p)
	}
	if len(c.through) == 0 {
		return nil, fmt.Errorf("no provider is named")
	}
	for _, entry := range o.Upstreams {
		p, err := upstream(entry)
		if err != nil {
			return nil, err
		}
		if !c.uses(p) {
			c.notef("the proxy also has %s, of which no model is named: name it as %s/MODEL in agents.defaults.model.fallbacks, and do this again", p.id, p.id)
			continue
		}
		c.through = append(c.through, p)
	}
	for _, p := range c.through {
		if err := c.provider(p); err != nil {
			return nil, err
		}
	}
	return c.notes, c.models()
}

type configuring struct {
	*Document
	options Options
	newest  bool
	through []provider
	notes   []string
}

func (c *configuring) notef(format string, args ...any) {
	c.notes = append(c.notes, fmt.Sprintf(format, args...))
}

// provider points one of OpenClaw's providers at the proxy.
func (c *configuring) provider(p provider) error {
	at := []string{"models", "providers", p.id}
	set := func(value any, path ...string) error { return c.Set(value, append(slices.Clone(at), path...)...) }
	key := "none" // some has to be set
	if c.options.Token != "" && !c.newest {
		key = c.options.Token
	}
	for _, setting := range [][2]string{
		{"baseUrl", strings.TrimSuffix(c.options.Base, "/") + p.path}, {"api", p.api}, {"auth", "api-key"}, {"apiKey", key},
	} {
		if err := set(setting[1], setting[0]); err != nil {
			return err
		}
	}
	if err := c.token(p, set); err != nil {
		return err
	}
	if allow, _ := c.Get(append(at, "request", "allowPrivateNetwork")...); allow == false {
		if err := set(true, "request", "allowPrivateNetwork"); err != nil {
			return err
		}
	}
	for _, name := range []string{"headers", "request.headers", "request.proxy"} {
		if _, there := c.Get(append(slices.Clone(at), strings.Split(name, ".")...)...); there {
			c.notef("models.providers.%s.%s stays as it is: see that it holds no key and no other way out", p.id, name)
		}
	}
	return c.catalog(p, append(slices.Clone(at), "models"))
}

// uses reports whether a model of p is known.
func (c *configuring) uses(p provider) bool {
	list, _ := c.Get("models", "providers", p.id, "models")
	entries, _ := list.([]any)
	return len(entries) > 0 || slices.ContainsFunc(c.references(), func(ref string) bool { return provided(ref) == p.id })
}

// token sends the client's token where nothing of OpenClaw's can take its place: a
// left-over profile or environment variable counts more than apiKey (docs/providers/openai/runtimes.md).
func (c *configuring) token(p provider, set func(any, ...string) error) error {
	switch {
	case c.options.Token == "":
		return nil
	case !c.newest:
		c.notef("OpenClaw sends the client's token of models.providers.%s.apiKey only if it has no profile and no variable with a key for %s", p.id, p.id)
		return nil
	case strings.HasPrefix(p.api, "openai-"):
		return set(map[string]string{"mode": "authorization-bearer", "token": c.options.Token}, "request", "auth")
	case strings.HasPrefix(p.api, "google-"):
		return set(map[string]string{"mode": "header", "headerName": "x-goog-api-key", "value": c.options.Token}, "request", "auth")
	}
	return set(map[string]string{"mode": "header", "headerName": "x-api-key", "value": c.options.Token}, "request", "auth")
}

// catalog sees that the provider's list has the models that are used, which older
// releases need, and one at least; and that each request says of which session it is.
func (c *configuring) catalog(p provider, at []string) error {
	value, _ := c.Get(at...)
	list, isList := value.([]any)
	if value != nil && !isList {
		return fmt.Errorf("%s is not a list", strings.Join(at, "."))
	}
	have := make(map[string]bool)
	for _, element := range list {
		if entry, ok := element.(map[string]any); ok {
			id, _ := entry["id"].(string)
			have[id] = true
		}
	}
	missing := []model{}
	for _, ref := range c.references() {
		if id, ours := strings.CutPrefix(ref, p.id+"/"); ours && !have[id] {
			have[id] = true
			m := model{ID: id, Name: id}
			if id == p.model.ID {
				m = p.model
			}
			missing = append(missing, m)
		}
	}
	if len(have) == 0 {
		missing = append(missing, p.model)
	}
	for _, m := range missing {
		if c.newest {
			m.Compat = &compat{SendSessionAffinityHeaders: true}
		}
		if err := c.Append(m, at...); err != nil {
			return err
		}
	}
	return c.affinity(at)
}

// affinity has the entries that were there send the session's headers, too.
func (c *configuring) affinity(at []string) error {
	v := c.find(at...)
	if !c.newest || v == nil {
		return nil
	}
	changed := false
	for i := range elements(v) {
		entry := Document{root: elements(v)[i]}
		if _, decided := entry.Get("compat", "sendSessionAffinityHeaders"); decided {
			continue
		}
		if err := entry.put([]byte("true"), []string{"compat", "sendSessionAffinityHeaders"}); err != nil {
			return fmt.Errorf("%s: %w", strings.Join(at, "."), err)
		}
		changed = true
	}
	if changed {
		c.changed(at)
	}
	return nil
}

// reference is how a model is named: provider/model.
var reference = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]*/\S+$`)

// references are the models that the agents' settings name, in their order within
// each object by name.
func (c *configuring) references() []string {
	agents, _ := c.Get("agents")
	var found []string
	var walk func(value any, isModel bool)
	walk = func(value any, isModel bool) {
		switch value := value.(type) {
		case string:
			if isModel && reference.MatchString(value) && !slices.Contains(found, value) {
				found = append(found, value)
			}
		case []any:
			for _, element := range value {
				walk(element, isModel)
			}
		case map[string]any:
			for _, name := range slices.Sorted(maps.Keys(value)) {
				walk(value[name], isModel && name != "timeoutMs" || strings.HasSuffix(strings.ToLower(name), "model") || name == "mediaModels")
			}
		}
	}
	walk(agents, false)
	return found
}

// models names models that go through the proxy where none are named, and says
// which of those that are named do not.
func (c *configuring) models() error {
	var first []string // of each provider, the first model
	for _, p := range c.through {
		id := p.model.ID
		if list, _ := c.Get("models", "providers", p.id, "models"); list != nil {
			if entries, ok := list.([]any); ok && len(entries) > 0 {
				if entry, ok := entries[0].(map[string]any); ok {
					named, _ := entry["id"].(string)
					id = cmp.Or(named, id)
				}
			}
		}
		first = append(first, p.id+"/"+id)
	}
	at := []string{"agents", "defaults", "model"}
	value, _ := c.Get(at...)
	primary, isText := value.(string)
	if object, ok := value.(map[string]any); ok {
		primary, _ = object["primary"].(string)
		if fallbacks, _ := object["fallbacks"].([]any); len(fallbacks) > 0 {
			return c.policy()
		}
	} else if value != nil && !isText {
		return fmt.Errorf("%s is neither a text nor an object", strings.Join(at, "."))
	}
	if primary == "" {
		primary = first[0]
		if err := c.Set(choice{Primary: primary}, at...); err != nil {
			return err
		}
	}
	fallbacks := slices.DeleteFunc(first, func(ref string) bool { return provided(ref) == provided(primary) })
	if len(fallbacks) == 0 {
		c.notef("there is no model to fall back to: name another of the proxy's in agents.defaults.model.fallbacks")
		return c.policy()
	}
	if err := c.Set(choice{primary, fallbacks}, at...); err != nil {
		return err
	}
	return c.policy()
}

// policy keeps a conversation from choosing a model past the proxy, if none of the
// named ones is there already.
func (c *configuring) policy() error {
	past := slices.DeleteFunc(c.references(), func(ref string) bool {
		return slices.ContainsFunc(c.through, func(p provider) bool { return p.id == provided(ref) })
	})
	for _, ref := range past {
		c.notef("the model %s does not go through the proxy", ref)
	}
	at := []string{"agents", "defaults", "modelPolicy", "allow"}
	if _, decided := c.Get(at...); decided || !c.newest || len(past) > 0 {
		return nil
	}
	var allow []string
	for _, p := range c.through {
		allow = append(allow, p.id+"/*")
	}
	return c.Set(allow, at...)
}

// provided is the provider of a model.
func provided(ref string) string {
	id, _, _ := strings.Cut(ref, "/")
	return id
}
