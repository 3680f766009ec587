package proxy

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/renameio/v2"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/secret"
	"github.com/openclaw-security/bus/services/proxy/internal/inspect"
	"github.com/openclaw-security/bus/services/proxy/internal/known"
)

// Bounds of what is recorded of one request's texts.
const (
	maxPrompt   = 64 << 10 // bytes of texts
	maxAnswered = 64 << 10 // bytes of the answer
	contentsMax = 1 << 16  // texts that are remembered as recorded
)

// prompts makes what a record says of a prompt: a hash, and where the owner wants
// it the texts. History is sent again with every turn, so that a text is recorded
// once.
type prompts struct {
	key      []byte // of the hash
	hash     *known.Hash
	recorded *known.Cache[struct{}] // nil if no texts are recorded
}

// newPrompts reads the key in dir, and makes one where there is none.
func newPrompts(dir string, texts bool) (*prompts, error) {
	key, err := loadHMACKey(dir)
	if err != nil {
		return nil, err
	}
	p := &prompts{key: key, hash: known.NewHash()}
	if texts {
		p.recorded = known.NewCache[struct{}](contentsMax)
	}
	return p, nil
}

// hmac is a keyed hash of what the user said last. History is sent again with
// every turn, so that a hash of all of it would never come twice.
func (p *prompts) hmac(r *inspect.Request) string {
	last := -1
	for i, s := range r.Segments {
		if s.Role == inspect.RoleUser && s.Kind == inspect.KindText && !s.Attached {
			last = i
		}
	}
	if last < 0 {
		return ""
	}
	mac := hmac.New(sha256.New, p.key)
	mac.Write(r.Segments[last].Text)
	return hex.EncodeToString(mac.Sum(nil))
}

// texts is what is new in a request, without secrets; nil if texts are not
// recorded.
func (p *prompts) texts(client string, r *inspect.Request) []proto.Message {
	if p.recorded == nil {
		return nil
	}
	var prompt []proto.Message
	room := maxPrompt
	roles := map[inspect.Role]string{
		inspect.RoleSystem: "system", inspect.RoleUser: "user", inspect.RoleAssistant: "assistant", inspect.RoleTool: "tool",
	}
	// The newest texts matter most if there is not room for all.
	for i := len(r.Segments) - 1; i >= 0 && room > 0; i-- {
		s := r.Segments[i]
		if s.Kind == inspect.KindData || s.Role == inspect.RoleOther || !p.isNew(client, s.Text) {
			continue
		}
		text := withoutSecrets(s.Text[:min(len(s.Text), room)])
		room -= len(text)
		prompt = append(prompt, proto.Message{Role: roles[s.Role], Text: text})
	}
	slices.Reverse(prompt)
	return prompt
}

// isNew reports whether text has not been recorded yet, and remembers it.
func (p *prompts) isNew(client string, text []byte) bool {
	hash := p.hash.Fork() // it is for one goroutine
	key := hash.Sum(hash.Sum(0, []byte(client)).Scope(), text)
	if _, known := p.recorded.Get(key); known {
		return false
	}
	p.recorded.Put(key, struct{}{})
	return true
}

// saidTexts are an answer's texts, as far as they are recorded.
type saidTexts struct {
	texts []*saidText
	size  int
}

type saidText struct {
	choice int
	text   []byte
}

// begin begins a text, and returns what adds a piece to it.
func (a *saidTexts) begin(choice int) func([]byte) {
	t := &saidText{choice: choice}
	a.texts = append(a.texts, t)
	return func(piece []byte) {
		// There has to be room for what joined leaves out, too.
		piece = piece[:min(len(piece), maxAnswered-len(t.text), 4*maxAnswered-a.size)]
		t.text = append(t.text, piece...)
		a.size += len(piece)
	}
}

// joined are the texts one after another. Servers that have several names for a text
// send it under each; of those that are equal, one is taken.
func (a *saidTexts) joined() []byte {
	var all []byte
	for i, t := range a.texts {
		if slices.ContainsFunc(a.texts[:i], func(o *saidText) bool { return o.choice == t.choice && bytes.Equal(o.text, t.text) }) {
			continue
		}
		if len(all) > 0 && len(t.text) > 0 {
			all = append(all, '\n')
		}
		all = append(all, t.text...)
	}
	return all[:min(len(all), maxAnswered)]
}

func withoutSecrets(text []byte) string {
	clean, _ := secret.Bytes(text)
	return strings.ToValidUTF8(string(clean), "\uFFFD")
}

// hmacKeyBytes is the length of the key of prompts' hashes.
const hmacKeyBytes = 32

// loadHMACKey reads the key with which prompts are hashed, and makes one where
// there is none. With another key equal prompts have other hashes.
func loadHMACKey(dir string) ([]byte, error) {
	path := filepath.Join(dir, "prompt-hmac.key")
	key, err := os.ReadFile(path)
	switch {
	case err == nil && len(key) == hmacKeyBytes:
		return key, nil
	case err == nil:
		return nil, fmt.Errorf("reading %s: it is not %d bytes long; remove it to have another made", path, hmacKeyBytes)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("reading the key of prompts' hashes: %w", err)
	}
	key = make([]byte, hmacKeyBytes)
	rand.Read(key) // never fails: crypto/rand aborts the program instead
	// Half a key would be refused at every start. The temporary directory is
	// named, because the default can be one that others read.
	if err := renameio.WriteFile(path, key, 0o600, renameio.WithTempDir(dir)); err != nil {
		return nil, fmt.Errorf("writing the key of prompts' hashes: %w", err)
	}
	return key, nil
}
