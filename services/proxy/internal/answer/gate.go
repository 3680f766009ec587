package answer

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

// key tells the calls or the texts of an answer apart that are open at the same
// time.
type key struct {
	choice, index int
}

// call is a tool call that is being put together.
type call struct {
	llmapi.ToolCall // Arguments are not set
	key             key
	// Arguments may be told in fragments, in whole, or in both ways. Which of
	// them a client goes by is its own affair, so each is judged.
	fragments []byte
	versions  [][]byte
	ended     bool // complete: nothing may be added
}

// identity is what has been judged, so that an answer which repeats its calls at
// the end has them judged once.
type identity struct {
	name, id  string
	arguments [sha256.Size]byte
}

// gate holds the tool calls of an answer until they have been judged.
type gate struct {
	judge func(llmapi.ToolCall) error
	text  func([]byte)
	watch watch

	open     []*call // not yet complete
	complete []*call // not yet judged
	judged   map[identity]struct{}
	count    int   // of all calls
	released int   // of result.ToolCalls, how many have gone on
	finished []int // choices, as in result.FinishReasons
	result   Result
}

// gated reports whether calls are held.
func (g *gate) gated() bool { return g.judge != nil || g.watch.active() }

// holding reports whether anything keeps later events from going on.
func (g *gate) holding() bool {
	return g.gated() && (len(g.open) > 0 || len(g.complete) > 0 || g.watch.waiting())
}

func (g *gate) undecided() bool { return len(g.complete) > 0 }

func (g *gate) find(k key) *call {
	for _, c := range slices.Backward(g.open) {
		if c.key == k {
			return c
		}
	}
	return nil
}

func (g *gate) begin(k key, tool llmapi.ToolCall) (*call, error) {
	if g.count == maxCalls {
		return nil, fmt.Errorf("%w: %d tool calls", ErrTooLarge, maxCalls)
	}
	g.count++
	c := &call{ToolCall: tool, key: k}
	g.open = append(g.open, c)
	return c, nil
}

// fragment adds to the arguments of c.
func (g *gate) fragment(c *call, arguments []byte) {
	if g.gated() {
		c.fragments = append(c.fragments, arguments...)
	}
}

// version adds arguments that are whole.
func (g *gate) version(c *call, arguments []byte) {
	if !g.gated() || len(arguments) == 0 {
		return
	}
	for _, v := range c.versions {
		if string(v) == string(arguments) {
			return
		}
	}
	c.versions = append(c.versions, arguments)
}

// end makes c complete.
func (g *gate) end(c *call) {
	if i := slices.Index(g.open, c); i >= 0 {
		c.ended = true
		g.open = slices.Delete(g.open, i, i+1)
		g.complete = append(g.complete, c)
	}
}

// completeAll is the end of everything that is open.
func (g *gate) completeAll() {
	for _, c := range g.open {
		c.ended = true
	}
	g.complete = append(g.complete, g.open...)
	g.open = nil
	g.watch.reset()
}

// known reports whether a call has been judged before, or just seen where
// nothing is held.
func (g *gate) known(tool llmapi.ToolCall) bool {
	if !g.gated() {
		tool.Arguments = nil
	}
	_, ok := g.judged[identify(tool)]
	return ok
}

// whole is a call that comes in one piece.
func (g *gate) whole(tool llmapi.ToolCall) error {
	arguments := tool.Arguments
	tool.Arguments = nil
	c, err := g.begin(key{}, tool)
	if err != nil {
		return err
	}
	g.version(c, arguments)
	g.end(c)
	return nil
}

// decide judges the calls that are complete.
func (g *gate) decide() error {
	for len(g.complete) > 0 {
		c := g.complete[0]
		if err := g.decideCall(c); err != nil {
			return err
		}
		c.fragments, c.versions = nil, nil
		g.record(c, nil)
		g.complete = slices.Delete(g.complete, 0, 1)
	}
	return nil
}

// decideCall judges every version of a call.
func (g *gate) decideCall(c *call) error {
	if len(c.fragments) > 0 {
		g.version(c, c.fragments)
	}
	if len(c.versions) == 0 {
		c.versions = append(c.versions, nil)
	}
	for _, arguments := range c.versions {
		if g.watch.in(arguments) {
			return ErrForbidden
		}
		tool := c.ToolCall
		tool.Arguments = arguments
		if g.judge != nil {
			if err := g.judge(tool); err != nil {
				return err
			}
		}
		if g.judged == nil {
			g.judged = make(map[identity]struct{})
		}
		g.judged[identify(tool)] = struct{}{}
	}
	return nil
}

func identify(tool llmapi.ToolCall) identity {
	return identity{tool.Name, tool.ID, sha256.Sum256(tool.Arguments)}
}

// abandon notes that the calls which have not gone on will not.
func (g *gate) abandon(reason error) {
	if g.gated() {
		for i := range g.result.ToolCalls[g.released:] {
			g.result.ToolCalls[g.released+i].Refused = reason
		}
	}
	for _, c := range slices.Concat(g.complete, g.open) {
		g.record(c, reason)
	}
	g.complete, g.open = nil, nil
	g.watch.reset()
}

// say passes on text that the client will see.
func (g *gate) say(k key, text []byte) {
	if len(text) == 0 {
		return
	}
	if g.text != nil {
		g.text(text)
	}
	g.watch.add(k, text)
}
