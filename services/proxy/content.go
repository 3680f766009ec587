package proxy

import (
	"strings"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/redact"
	"github.com/openclaw-security/bus/services/proxy/internal/detect/seen"
	"github.com/openclaw-security/bus/services/proxy/internal/inspect"
)

// Bounds of what is recorded of one request.
const (
	maxPrompt   = 64 << 10 // bytes of texts
	maxAnswered = 64 << 10 // bytes of the answer
	contentsMax = 1 << 16  // texts that are remembered as recorded
)

// contents knows which texts have been recorded: history is sent again with
// every turn, and is recorded once.
type contents struct {
	hash     *seen.Hash
	recorded *seen.Cache[struct{}]
}

func newContents() *contents {
	return &contents{seen.NewHash(), seen.NewCache[struct{}](contentsMax)}
}

// isNew reports whether text has not been recorded yet, and takes it that it
// will be.
func (c *contents) isNew(client string, text []byte) bool {
	hash := c.hash.Fork() // it is for one goroutine
	key := hash.Sum(hash.Sum(0, []byte(client)).Scope(), text)
	if _, known := c.recorded.Get(key); known {
		return false
	}
	c.recorded.Put(key, struct{}{})
	return true
}

// content is what was said in one request, where the owner wants it kept.
type content struct {
	prompt   []proto.Message
	answered []byte
}

func (p *proxy) newContent(client string, r *inspect.Request) *content {
	c := &content{}
	room := maxPrompt
	roles := map[inspect.Role]string{
		inspect.RoleSystem: "system", inspect.RoleUser: "user", inspect.RoleAssistant: "assistant", inspect.RoleTool: "tool",
	}
	// The newest texts matter most if there is not room for all.
	for i := len(r.Segments) - 1; i >= 0 && room > 0; i-- {
		s := r.Segments[i]
		if s.Kind == inspect.KindData || s.Role == inspect.RoleOther {
			continue
		}
		if !p.contents.isNew(client, s.Text) {
			continue
		}
		text := strings.ToValidUTF8(redact.Text(string(s.Text[:min(len(s.Text), room)])), "\uFFFD")
		room -= len(text)
		c.prompt = append([]proto.Message{{Role: roles[s.Role], Text: text}}, c.prompt...)
	}
	return c
}

// answer takes a piece of the answer's text.
func (c *content) answer(text []byte) {
	c.answered = append(c.answered, text[:min(len(text), maxAnswered-len(c.answered))]...)
}

// text is the answer's text. Secrets are taken out of the whole, since one can
// come in several pieces.
func (c *content) text() string {
	return strings.ToValidUTF8(redact.Text(string(c.answered)), "\uFFFD")
}
