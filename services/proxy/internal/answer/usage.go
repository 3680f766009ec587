package answer

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/openclaw-security/bus/proto"
)

// counted is what an object of usage says.
type counted struct {
	proto.Usage
	input, output bool // it says how many, so that a zero is one
	unread        bool // a count in it cannot be read
}

// tally takes the usage of an answer. Servers that state it several times state it
// cumulated, so that the last one counts; one that says nothing changes nothing.
func (g *gate) tally(u counted, final bool) {
	g.counting = g.counting || final || g.single
	if !u.input && !u.output && g.result.Usage != nil {
		unread := u.unread
		u = counted{Usage: *g.result.Usage, input: g.stated, output: g.stated, unread: unread}
	}
	g.stated = u.input && u.output && !u.unread
	u.Complete = g.counting && g.stated
	u.ServiceTier = g.tier
	g.result.Usage = &u.Usage
}

// usage reads the members of an object of usage one by one: what is not of the type
// that its API documents hides nothing that stands behind it.
type usage struct {
	members map[string]jsontext.Value
	unread  bool
}

func readUsage(data jsontext.Value) *usage { return &usage{members: members(data)} }

// members are those of an object, of anything else none.
func members(data jsontext.Value) map[string]jsontext.Value {
	var m map[string]jsontext.Value
	if data.Kind() == '{' {
		try(data, &m)
	}
	return m
}

// count is the first of some counts that is there, each given by the names that lead
// to it, and whether there is one.
func (u *usage) count(paths ...[]string) (n int64, said bool) {
	for _, path := range paths {
		in := u.members
		for _, name := range path[:len(path)-1] {
			in = members(in[name])
		}
		value := in[path[len(path)-1]]
		if len(value) == 0 || value.Kind() == 'n' {
			continue
		}
		if n, said = number(value); said {
			return n, true
		}
		u.unread = true
	}
	return 0, false
}

// add is the sum of those counts that are there.
func (u *usage) add(names ...string) (sum int64, said bool) {
	for _, name := range names {
		n, ok := u.count([]string{name})
		sum, said = sum+n, said || ok
	}
	return sum, said
}

// served notes the tier that has served the request, unless it is the usual one.
func (g *gate) served(tier string) {
	switch tier = strings.ToLower(tier); tier {
	case "":
	case "default", "standard", "auto", "on_demand":
		g.tier = ""
	default:
		g.tier = tier
	}
}

// word is a short text, or else empty.
func word(value jsontext.Value) string {
	var w text
	if value.Kind() == '"' {
		try(value, &w)
	}
	return clip(string(w))
}

// maxTokens bounds a count: sums of counts do not overflow.
const maxTokens = 1 << 40

// number reads a count of tokens: a whole number, of whatever form, also as a string.
func number(value jsontext.Value) (int64, bool) {
	text := string(value)
	if value.Kind() == '"' && json.Unmarshal(value, &text) != nil {
		return 0, false
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || n != math.Trunc(n) || n < 0 || n > maxTokens { // NaN is not equal to itself
		return 0, false
	}
	return int64(n), true
}

// openAITokens reads usage as OpenAI's APIs state it, and what compatible servers make
// of that:
//
//   - https://platform.openai.com/docs/api-reference/chat/object (prompt_tokens, completion_tokens),
//     https://platform.openai.com/docs/api-reference/responses/object (input_tokens, output_tokens);
//   - cache_write_tokens: https://platform.openai.com/docs/guides/prompt-caching,
//     https://openrouter.ai/docs/guides/best-practices/prompt-caching;
//   - cached_tokens beside prompt_tokens: https://platform.moonshot.ai/docs/api/chat;
//   - prompt_cache_hit_tokens: https://api-docs.deepseek.com/guides/kv_cache.
func openAITokens(data jsontext.Value) counted {
	t := readUsage(data)
	var u counted
	u.Input, u.input = t.count([]string{"prompt_tokens"}, []string{"input_tokens"})
	u.Output, u.output = t.count([]string{"completion_tokens"}, []string{"output_tokens"})
	u.CacheRead, _ = t.count([]string{"prompt_tokens_details", "cached_tokens"}, []string{"input_tokens_details", "cached_tokens"}, []string{"cached_tokens"}, []string{"prompt_cache_hit_tokens"})
	u.CacheCreation, _ = t.count([]string{"prompt_tokens_details", "cache_write_tokens"}, []string{"input_tokens_details", "cache_write_tokens"})
	u.Reasoning, _ = t.count([]string{"completion_tokens_details", "reasoning_tokens"}, []string{"output_tokens_details", "reasoning_tokens"})
	if total, said := t.count([]string{"total_tokens"}); said {
		u.complement(total)
	}
	u.unread = t.unread
	return u
}

// complement adds what the total has and the parts have not. At xAI and at Gemini's
// endpoint in OpenAI's form that is the reasoning, which is billed as output
// (https://docs.x.ai/docs/guides/reasoning); embeddings have no output; and some
// servers state what the cache had a part in beside the input.
func (u *counted) complement(total int64) {
	rest := total - u.Input - u.Output
	switch {
	case !u.input && !u.output:
	case !u.input:
		u.Input, u.input = max(rest, 0), true
	case !u.output:
		u.Output, u.output = max(rest, 0), true
	case rest <= 0:
	case rest == u.CacheRead+u.CacheCreation && rest != u.Reasoning:
		u.Input += rest
	default:
		u.Output += rest
	}
}

// chatUsage is where Chat Completions state the usage: for the whole answer or, at
// Moonshot, with each choice. What is stated for the whole counts.
type chatUsage struct {
	whole   bool
	choices map[int]counted
}

// state takes what a chunk says of the usage.
func (c *chat) state(chunk *chatChunk) {
	data := chunk.Usage
	if data.Kind() != '{' {
		data = members(chunk.Groq)["usage"]
	}
	if data.Kind() == '{' {
		c.usage = chatUsage{whole: true}
		c.tally(openAITokens(data), c.finishing || len(chunk.Choices) == 0)
	}
	for i := range chunk.Choices {
		choice := &chunk.Choices[i]
		if c.usage.whole || choice.Usage.Kind() != '{' || len(c.usage.choices) == maxChoices {
			continue
		}
		if c.usage.choices == nil {
			c.usage.choices = make(map[int]counted)
		}
		c.usage.choices[choice.Index] = openAITokens(choice.Usage)
		c.tally(c.usage.sum(), c.finishing)
	}
}

// sum is the usage of all choices, which have one prompt.
func (c *chatUsage) sum() counted {
	sum := counted{input: true, output: true}
	for _, u := range c.choices {
		sum.Input, sum.CacheRead, sum.CacheCreation = max(sum.Input, u.Input), max(sum.CacheRead, u.CacheRead), max(sum.CacheCreation, u.CacheCreation)
		sum.Output, sum.Reasoning = sum.Output+u.Output, sum.Reasoning+u.Reasoning
		sum.input, sum.output, sum.unread = sum.input && u.input, sum.output && u.output, sum.unread || u.unread
	}
	return sum
}

// geminiTokens reads usageMetadata (https://ai.google.dev/api/generate-content#UsageMetadata).
// Like every message of that API it leaves out what is zero; the total says whether
// it is.
func geminiTokens(data jsontext.Value) counted {
	t := readUsage(data)
	var u counted
	u.Input, u.input = t.add("promptTokenCount", "toolUsePromptTokenCount")
	u.Output, u.output = t.add("candidatesTokenCount", "thoughtsTokenCount")
	u.CacheRead, _ = t.count([]string{"cachedContentTokenCount"}) // part of the prompt
	u.Reasoning, _ = t.count([]string{"thoughtsTokenCount"})
	if total, said := t.count([]string{"totalTokenCount"}); said {
		u.complement(total)
	} else if u.input {
		u.output = true
	}
	u.unread = t.unread
	return u
}

// messagesMembers are those of the usage of Messages that count:
// https://platform.claude.com/docs/en/api/messages.
var messagesMembers = []string{"input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "cache_creation", "iterations", "service_tier", "speed"}

// state takes the usage of a message. It is cumulative: what is known later replaces
// what came before.
func (m *messages) state(data jsontext.Value, final bool) {
	if data.Kind() != '{' {
		return
	}
	sent := members(data)
	if m.known == nil {
		m.known = make(map[string]jsontext.Value)
	}
	for _, name := range messagesMembers {
		if value := sent[name]; len(value) > 0 && value.Kind() != 'n' {
			m.known[name] = value
		}
	}
	m.served(word(m.known["service_tier"]))
	if speed := word(m.known["speed"]); speed != "standard" {
		m.served(speed)
	}
	u := messagesTokens(m.known)
	u.iterate(m.known["iterations"], m.result.Model)
	m.tally(u, final)
}

// messagesTokens reads what a message, or one iteration of it, states. Its input_tokens
// are those that the cache had no part in.
func messagesTokens(of map[string]jsontext.Value) counted {
	t := usage{members: of}
	var u counted
	u.Input, u.input = t.count([]string{"input_tokens"})
	u.Output, u.output = t.count([]string{"output_tokens"})
	u.CacheRead, _ = t.count([]string{"cache_read_input_tokens"})
	u.CacheCreation, _ = t.count([]string{"cache_creation_input_tokens"})
	u.CacheCreation1h, _ = t.count([]string{"cache_creation", "ephemeral_1h_input_tokens"})
	u.Input += u.CacheRead + u.CacheCreation
	u.unread = t.unread
	return u
}

// iterate makes the usage that of all iterations. What compaction and advisors used is
// stated there alone, and what later rounds read again may be; all of it is billed:
// https://platform.claude.com/docs/en/build-with-claude/compaction,
// https://platform.claude.com/docs/en/agents-and-tools/tool-use/advisor-tool.
func (u *counted) iterate(data jsontext.Value, model string) {
	var iterations []jsontext.Value
	if data.Kind() != '[' {
		return
	}
	try(data, &iterations)
	var sum counted
	for _, data := range iterations {
		of := members(data)
		i := messagesTokens(of)
		u.unread = u.unread || !i.input || !i.output || i.unread
		sum.add(&i, word(of["model"]), model)
	}
	u.Input, u.Output = max(u.Input, sum.Input), max(u.Output, sum.Output)
	u.CacheRead, u.CacheCreation = max(u.CacheRead, sum.CacheRead), max(u.CacheCreation, sum.CacheCreation)
	u.CacheCreation1h, u.OtherModels = max(u.CacheCreation1h, sum.CacheCreation1h), sum.OtherModels
}

// add adds an iteration by a model, which may be another one than the answer's.
func (u *counted) add(i *counted, by, answers string) {
	u.Input, u.Output = u.Input+i.Input, u.Output+i.Output
	u.CacheRead, u.CacheCreation, u.CacheCreation1h = u.CacheRead+i.CacheRead, u.CacheCreation+i.CacheCreation, u.CacheCreation1h+i.CacheCreation1h
	if by == "" || by == answers {
		return
	}
	at := slices.IndexFunc(u.OtherModels, func(m proto.ModelUsage) bool { return m.Model == by })
	if at < 0 {
		if len(u.OtherModels) == maxModels {
			return
		}
		at = len(u.OtherModels)
		u.OtherModels = append(u.OtherModels, proto.ModelUsage{Model: by})
	}
	m := &u.OtherModels[at]
	m.Input, m.Output = m.Input+i.Input, m.Output+i.Output
	m.CacheRead, m.CacheCreation, m.CacheCreation1h = m.CacheRead+i.CacheRead, m.CacheCreation+i.CacheCreation, m.CacheCreation1h+i.CacheCreation1h
}

// maxModels bounds the models of one answer.
const maxModels = 16
