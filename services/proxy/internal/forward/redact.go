package forward

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/openclaw-security/bus/services/internal/config"
)

// minSecret is the minimum length in bytes of a value that is looked for. What is
// shorter is not a key of any provider, only a word that local servers accept as
// one, and is likely to occur in ordinary text.
const minSecret = 12

// prefix is how much of a needle is searched for before the rest is compared.
// Short enough for the search that bytes.Index does with vector instructions.
const prefix = 24

var marker = []byte("[redacted]")

// secrets finds values in bytes, in the forms in which a server would echo
// them: as they are, escaped for URLs or JSON, and within base64. What a model
// does to a value in order to get it past a filter is not looked for here but
// in decoded text.
type secrets struct {
	values  [][]byte // as they are
	needles [][]byte // in each form
}

func newSecrets(values []config.Secret) *secrets {
	s := new(secrets)
	for _, value := range values {
		if text := value.Reveal(); len(text) >= minSecret {
			s.values = append(s.values, []byte(text))
			for _, form := range forms(text) {
				if !slices.ContainsFunc(s.needles, func(n []byte) bool { return bytes.Equal(n, form) }) {
					s.needles = append(s.needles, form)
				}
			}
		}
	}
	return s
}

// Redactor takes values out of texts that do not pass through an Upstream.
type Redactor struct{ secrets *secrets }

// NewRedactor returns a Redactor of those values that are as long as a key.
func NewRedactor(values []config.Secret) Redactor { return Redactor{newSecrets(values)} }

// Redact returns text without the values, in every form in which they are taken out
// of answers. It may return text itself.
func (r Redactor) Redact(text []byte) []byte { return r.secrets.redact(text) }

// forms lists the ways in which text is written by those who echo it.
func forms(text string) [][]byte {
	quoted, _ := json.Marshal(text) // of a string: cannot fail
	all := [][]byte{
		[]byte(text),
		[]byte(url.QueryEscape(text)),
		[]byte(url.PathEscape(text)),
		quoted[1 : len(quoted)-1],
	}
	// Base64 writes a text in three ways, depending on how many bytes stand
	// before it. Characters that also hold bits of its neighbors are left out.
	for before := range 3 {
		padded := append(make([]byte, before), text...)
		for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			encoded := encoding.EncodeToString(padded)
			from := (before*8 + 5) / 6
			to := len(padded) * 8 / 6
			all = append(all, []byte(encoded[from:to]))
		}
	}
	return all
}

// isIn reports whether text holds a secret.
func (s *secrets) isIn(text string) bool { return string(s.redact([]byte(text))) != text }

// redact returns p without secrets, which is p itself where there are none.
func (s *secrets) redact(p []byte) []byte {
	sc := scrubber{secrets: s}
	return sc.next(p, true)
}

// index returns the start of the first occurrence of needle in p, or -1.
func index(p, needle []byte) int {
	if len(needle) <= prefix {
		return bytes.Index(p, needle)
	}
	for from := 0; ; {
		i := bytes.Index(p[from:], needle[:prefix])
		if i < 0 {
			return -1
		}
		if from += i; bytes.HasPrefix(p[from:], needle) {
			return from
		}
		from++
	}
}

// tail returns where the longest end of p starts that is the beginning of one of
// needles but not all of it; len(p) where there is none.
func tail(needles [][]byte, p []byte) int {
	start := len(p)
	for _, needle := range needles {
		for i := max(0, len(p)-len(needle)+1); i < start; i++ {
			next := bytes.IndexByte(p[i:start], needle[0])
			if next < 0 {
				break
			}
			if i += next; bytes.HasPrefix(needle, p[i:]) {
				start = i
			}
		}
	}
	return start
}

// scrubber takes the secrets out of one body that comes in pieces. The result
// does not depend on where the pieces end: of secrets that overlap, the one
// that starts first is taken out, of those that start together the longest.
type scrubber struct {
	secrets *secrets
	escaped unescaper
	held    []byte // the end of what has come so far, which may begin a secret
	out     []byte // the last result, where something was taken out
}

// next takes the next piece, of which last says whether it ends the body, and
// returns what may go on. The result is valid until the next call and may be p.
func (s *scrubber) next(p []byte, last bool) []byte {
	s.escaped.secrets = s.secrets
	p = s.escaped.next(p, last)
	if len(s.held) > 0 {
		s.held = append(s.held, p...)
		p = s.held
	}
	s.out = s.out[:0]
	var upcoming []int // by needle: where it occurs next, len(p) for nowhere
	from := 0
	for {
		hold := len(p)
		if !last {
			hold = from + tail(s.secrets.needles, p[from:])
		}
		start, length := s.first(p, from, &upcoming)
		if start >= hold {
			return s.yield(p, from, hold)
		}
		s.out = append(append(s.out, p[from:start]...), marker...)
		from = start + length
	}
}

// first returns the first secret in p at or after from, the longest if several
// start there; a start of len(p) means that there is none. It remembers in
// upcoming what it has found, so that a body full of secrets costs no more than
// one pass for each.
func (s *scrubber) first(p []byte, from int, upcoming *[]int) (start, length int) {
	start = len(p)
	for i, needle := range s.secrets.needles {
		at := -1
		if *upcoming != nil {
			at = (*upcoming)[i]
		}
		if at < from {
			if at = index(p[from:], needle); at < 0 {
				at = len(p)
			} else {
				at += from
			}
		}
		if at < len(p) && *upcoming == nil {
			*upcoming = slices.Repeat([]int{-1}, len(s.secrets.needles))
		}
		if *upcoming != nil {
			(*upcoming)[i] = at
		}
		if at < start || at == start && at < len(p) && len(needle) > length {
			start, length = at, len(needle)
		}
	}
	return start, length
}

// yield returns the result so far and p[from:hold], and holds back the rest.
func (s *scrubber) yield(p []byte, from, hold int) []byte {
	out := p[from:hold]
	if len(s.out) > 0 {
		s.out = append(s.out, out...)
		out = s.out
	}
	if hold == len(p) {
		s.held = s.held[:0]
		return out
	}
	// A copy, because both p and the result may stand where the next piece goes.
	s.held = bytes.Clone(p[hold:])
	return out
}

// redactHeader takes the secrets out of every value of h, and removes headers that
// have one in their name or over several values.
func (s *secrets) redactHeader(h http.Header) {
	var scratch []byte
	for name, values := range h {
		// The case of a name is the server's to choose.
		folded := strings.ToLower(name)
		if slices.ContainsFunc(s.values, func(v []byte) bool { return strings.Contains(folded, strings.ToLower(string(v))) }) ||
			len(values) > 1 && !slices.ContainsFunc(values, s.isIn) && s.isIn(strings.Join(values, "")) {
			delete(h, name)
			continue
		}
		for i, value := range values {
			scratch = append(scratch[:0], value...)
			if clean := s.redact(scratch); len(clean) != len(scratch) || string(clean) != value {
				values[i] = string(clean)
			}
		}
	}
}
