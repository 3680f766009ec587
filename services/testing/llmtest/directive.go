package llmtest

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// defaultText is said where no directive asks for something else.
const defaultText = "Certainly. Here is a short answer from a model that is not there."

// defaultRedirect is where #redirect leads: a name that never resolves.
const defaultRedirect = "https://elsewhere.invalid/v1/messages"

// never is the number of events after which nothing happens.
const never = -1

// plan is what a prompt's directives ask for.
type plan struct {
	pieces []string // the text, as it streams
	pause  time.Duration
	calls  []toolCall

	delay    time.Duration
	encoding string // a content coding; empty for none
	status   int    // of the error to answer with; 0 for none
	redirect string
	echoKey  bool

	errorAfter, breakAfter, stallAfter int
}

// toolCall is a tool call that the answer asks for.
type toolCall struct{ name, arguments string }

// parsePlan reads the directives in text.
func parsePlan(text string) (*plan, error) {
	p := &plan{errorAfter: never, breakAfter: never, stallAfter: never}
	for line := range strings.Lines(text) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if len(word) < 2 || word[0] != '#' || word[1] == '#' {
			continue
		}
		if err := p.directive(word, strings.TrimSpace(rest)); err != nil {
			return nil, fmt.Errorf("%s: %w", word, err)
		}
	}
	if p.pieces == nil && p.calls == nil {
		p.pieces = words(defaultText)
	}
	return p, nil
}

func (p *plan) directive(word, rest string) (err error) {
	switch word {
	case "#say":
		p.pieces = words(rest)
	case "#text":
		count, pause, paced := strings.Cut(rest, "x")
		var n int
		if n, err = between(count, 1, 100_000); err != nil {
			return err
		}
		p.pieces = filler(n)
		if paced {
			p.pause, err = time.ParseDuration(pause)
		}
	case "#size":
		var n int
		if n, err = size(rest); err == nil {
			p.pieces = block(n)
		}
	case "#tool":
		name, arguments, _ := strings.Cut(rest, " ")
		if name == "" || !strings.HasPrefix(arguments, "{") || !valid([]byte(arguments)) {
			return fmt.Errorf("needs a name and a JSON object, not %q", rest)
		}
		p.calls = append(p.calls, toolCall{name, arguments})
	case "#slow":
		p.delay, err = time.ParseDuration(rest)
	case "#gzip", "#br", "#zstd", "#deflate":
		p.encoding = word[1:]
	case "#error":
		p.status, err = between(rest, 400, 599)
	case "#redirect":
		if p.redirect = rest; rest == "" {
			p.redirect = defaultRedirect
		}
	case "#echo-key":
		p.echoKey = true
	case "#error-after":
		p.errorAfter, err = between(rest, 0, 100_000)
	case "#break-after":
		p.breakAfter, err = between(rest, 0, 100_000)
	case "#stall":
		if p.stallAfter = 0; rest != "" {
			p.stallAfter, err = between(rest, 0, 100_000)
		}
	default:
		return fmt.Errorf("not a directive of this server")
	}
	return err
}

// between parses a whole number within bounds.
func between(text string, lowest, highest int) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < lowest || n > highest {
		return 0, fmt.Errorf("%q is not a number from %d to %d", text, lowest, highest)
	}
	return n, nil
}

// size parses a number of bytes, at most 32 MiB.
func size(text string) (int, error) {
	digits, unit := text, 1
	switch {
	case strings.HasSuffix(text, "k"):
		digits, unit = text[:len(text)-1], 1<<10
	case strings.HasSuffix(text, "m"):
		digits, unit = text[:len(text)-1], 1<<20
	}
	n, err := between(digits, 1, maxBody/unit)
	return n * unit, err
}

// words cuts a text behind each space.
func words(text string) []string { return strings.SplitAfter(text, " ") }

// filler is n words.
func filler(n int) []string {
	vocabulary := words(defaultText + " ")
	vocabulary = vocabulary[:len(vocabulary)-1] // the empty one behind the last space
	pieces := make([]string, n)
	for i := range pieces {
		pieces[i] = vocabulary[i%len(vocabulary)]
	}
	return pieces
}

// block is n bytes in pieces of 1 KiB.
func block(n int) []string {
	const piece = 1 << 10
	line := strings.Repeat("0123456789abcdef", piece/16)
	var pieces []string
	for ; n > 0; n -= piece {
		pieces = append(pieces, line[:min(n, piece)])
	}
	return pieces
}

// badDirective refuses a prompt whose directives are wrong.
func badDirective(err error) *fault {
	return &fault{status: http.StatusBadRequest, message: err.Error()}
}
