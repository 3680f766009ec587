package answer

import (
	"bytes"
	"cmp"
	"io"
	"maps"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

// results reads what holds answers to earlier requests: the results of a batch, which are a
// JSON object on each line or all in one, and the content of a file, which may be that or
// anything else. Each answer stands somewhere in an object, and is read as its API's are:
//
//   - https://platform.openai.com/docs/guides/batch#5-retrieve-the-results
//   - https://docs.claude.com/en/api/retrieving-message-batch-results
//   - https://ai.google.dev/gemini-api/docs/batch-api#retrieve-results
type results struct {
	*gate
	total counted
	model string
	ids   map[string]bool // of the object's answers: what stands there twice was used once
	count int             // of answers
	depth int
}

// body reads one object.
func (s *results) body(data []byte) error {
	var value jsontext.Value
	if err := parse(data, &value); err != nil {
		return err
	}
	s.single, s.ids, s.depth = true, make(map[string]bool), 0
	return s.search(value)
}

// event is not called: results are no stream of events.
func (s *results) event(_, data []byte) (way, error) { return pass, s.body(data) }

// maxSearch is how deep answers stand at most.
const maxSearch = 12

// search reads the answers in a value.
func (s *results) search(value jsontext.Value) error {
	if s.depth++; s.depth > maxSearch {
		s.depth--
		return nil
	}
	defer func() { s.depth-- }()
	switch value.Kind() {
	case '[':
		var elements []jsontext.Value
		try(value, &elements)
		for _, element := range elements {
			if err := s.search(element); err != nil {
				return err
			}
		}
	case '{':
		of := members(value)
		if api := answerOf(of); api != llmapi.None {
			return s.answer(api, value)
		}
		for _, name := range slices.Sorted(maps.Keys(of)) {
			if err := s.search(of[name]); err != nil {
				return err
			}
		}
	}
	return nil
}

// answerOf is the API of which an object with these members is an answer.
func answerOf(of map[string]jsontext.Value) llmapi.API {
	is := make(map[string]jsontext.Kind, len(of))
	for name, value := range of {
		is[fold([]byte(name))] = value.Kind()
	}
	switch {
	case is["choices"] == '[':
		return llmapi.ChatCompletions
	case is["candidates"] == '[':
		return llmapi.GenerateContent
	case is["output"] == '[' && is["status"] == '"':
		return llmapi.Responses
	case is["content"] == '[' && is["stopreason"] != 0:
		return llmapi.Messages
	}
	return llmapi.None
}

// answer reads one answer. What it uses is added to what the others do.
func (s *results) answer(api llmapi.API, data jsontext.Value) error {
	s.result.Usage, s.result.ID, s.result.Model, s.finished, s.stated, s.tier = nil, "", "", nil, false, ""
	err := newFormat(Options{API: api, Pieces: true}, s.gate).body(data)
	s.completeAll()
	if u := s.result.Usage; u != nil && (s.result.ID == "" || !s.ids[s.result.ID]) {
		s.model = cmp.Or(s.model, s.result.Model)
		one := counted{Usage: *u}
		if s.total.Usage.Complete = u.Complete && (s.count == 0 || s.total.Complete); s.count == 0 {
			s.total.ServiceTier = u.ServiceTier
		}
		s.total.add(&one, s.result.Model, s.model)
		s.count++
	}
	s.ids[s.result.ID] = true
	if s.count > 0 {
		s.result.Usage = new(s.total.Usage)
	}
	if s.result.Model = s.model; s.count > 1 {
		s.result.ID = ""
	}
	s.result.ErrorType = "" // it is that of one of many
	s.result.FinishReasons = s.result.FinishReasons[:min(len(s.result.FinishReasons), maxChoices)]
	return err
}

// restart begins the next of many objects, if nothing of the one before is held: what
// bounds one answer does not bound all of them.
func (g *gate) restart() {
	if len(g.due) > 0 || len(g.open) > 0 || len(g.ends) > 0 {
		return
	}
	g.count, g.counts = 0, nil
	if more := len(g.result.ToolCalls) - maxCalls; more > 0 {
		g.result.ToolCalls, g.result.MoreCalls = g.result.ToolCalls[:maxCalls], g.result.MoreCalls+more
		g.released = min(g.released, maxCalls)
	}
}

// object finds the end of a JSON object, or array, that comes in pieces.
type object struct {
	at              int // bytes that have been looked at
	depth           int
	quoted, escaped bool
}

// end looks on in the object that in begins with, and returns its length, or 0 if it has
// not ended yet.
func (o *object) end(in []byte) int {
	for ; o.at < len(in); o.at++ {
		c := in[o.at]
		switch {
		case o.escaped:
			o.escaped = false
		case o.quoted:
			o.escaped, o.quoted = c == '\\', c != '"'
		case c == '"':
			o.quoted = true
		case c == '{' || c == '[':
			o.depth++
		case c == '}' || c == ']':
			if o.depth--; o.depth <= 0 {
				n := o.at + 1
				*o = object{}
				return n
			}
		}
	}
	return 0
}

// advanceObjects handles the next object, or what stands between two.
func (r *Reader) advanceObjects() bool {
	if len(r.held) == 0 {
		r.gate.restart()
	}
	blank := len(r.in) - len(bytes.TrimLeft(r.in, " \t\r\n"))
	switch {
	case len(r.in) == 0 && r.end == nil:
		return false
	case len(r.in) > 0 && !r.inLine && blank > 0 && r.object.at == 0:
		r.between(blank)
	case len(r.in) > 0 && (r.inLine || r.in[0] != '{' && r.in[0] != '['):
		end := bytes.IndexByte(r.in, '\n') + 1
		if r.inLine = end == 0; r.inLine {
			end = len(r.in)
		}
		r.between(end)
	case len(r.in) > 0:
		n := r.object.end(r.in)
		switch {
		case n > 0:
			r.one(r.in[:n])
		case len(r.in) > r.o.MaxBody:
			r.unclear(ErrTooLarge)
			r.through()
		case r.end == nil:
			return false
		default: // it ends within an object, which no client can read
			r.between(len(r.in))
		}
	case r.end != io.EOF && !r.o.Failed:
		r.broken()
	default:
		r.gate.completeAll()
		r.release()
		r.err = r.end
		if r.o.Failed {
			r.gate.failed(r.head)
		}
	}
	return true
}

// between passes n bytes on that are in no object.
func (r *Reader) between(n int) {
	raw := r.in[:n]
	if r.stopped(raw) {
		return
	}
	r.noteFault(raw)
	if len(r.held) > 0 {
		r.held = append(r.held, raw...)
	} else {
		r.out = append(r.out, raw...)
	}
	r.in = r.in[n:]
}

// one reads an object, and passes it on or holds it.
func (r *Reader) one(raw []byte) {
	if !r.parsing(parseWeight(raw)) {
		return
	}
	r.gate.begins()
	err := r.scan.bounded(raw)
	if err == nil {
		err = r.format.body(raw)
	}
	r.overlooked(raw)
	if r.stopped(raw) || err != nil && (mentionsCall(raw) || r.o.Failed) && !r.unclear(err, raw) {
		return
	}
	r.noteFault(raw)
	if len(r.held) > 0 || r.gate.holds() {
		r.held = append(r.held, raw...)
	} else {
		r.out = append(r.out, raw...)
	}
	r.in = r.in[len(raw):]
	r.release()
}

// noteFault keeps the beginning of an error.
func (r *Reader) noteFault(raw []byte) {
	if r.o.Failed && len(r.head) < maxFault {
		r.head = append(r.head, raw[:min(len(raw), maxFault-len(r.head))]...)
	}
}

// mentionsCall reports whether what cannot be read may hold a call: files may begin with a
// bracket and be something else.
func mentionsCall(data []byte) bool {
	lower := bytes.ToLower(data)
	for _, word := range []string{"tool_call", "toolcall", "tool_use", "function_call", "functioncall", "executablecode", `_call"`, `\u00`} {
		if bytes.Contains(lower, []byte(word)) {
			return true
		}
	}
	return false
}

// isBinary reports whether a file that begins like this is no text in any encoding of
// Unicode: there is a zero in it, and no bracket that would begin JSON in UTF-16 or UTF-32.
func isBinary(start []byte) bool {
	start = start[:min(len(start), 4)]
	return bytes.IndexByte(start, 0) >= 0 && !bytes.ContainsAny(start, "{[") && !bytes.HasPrefix(start, []byte("\xff\xfe")) && !bytes.HasPrefix(start, []byte("\xfe\xff"))
}
