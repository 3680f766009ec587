package answer

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

// call is a tool call that is being put together.
type call struct {
	llmapi.ToolCall // Arguments are not set
	key             key
	serial          int // of all calls, for the texts that its arguments are

	// Arguments may come in fragments, in whole, or in both ways. Which of
	// them a client goes by is its own affair, so each is judged.
	args     arguments
	versions [][]byte                       // not yet judged
	sums     map[[sha256.Size]byte]struct{} // of all versions

	withheld bool // as long as it is not judged
	tail     int  // where in what is held the event begins that is not to go on yet; none if it is negative
	due      bool // to be judged
	judged   bool // at least once
	recorded int  // its place in the result, from 1
	ended    bool // nothing may be added
}

// identity is what has been judged, so that an answer which repeats its calls at
// the end has them judged once.
type identity struct {
	name, id  string
	arguments [sha256.Size]byte
	alike     bool // id is left out
}

// gate has the tool calls of an answer judged before a client can act on them.
//
// What a client has of a call before that is never whole: fragments of arguments go on
// as long as a bracket or a quotation mark of their JSON is open. Of arguments that are
// no JSON the last fragment is held, and always what ends the call.
type gate struct {
	judge   func(llmapi.ToolCall) error
	maxCall int // bytes of a call's arguments
	watch   watch

	open     []*call          // not ended
	due      []*call          // to be judged
	touched  []*call          // by the event, with fragments that may have to be held
	counts   map[identity]int // of the calls that were judged, with their ids and without
	count    int              // of all calls
	kept     int              // bytes of arguments
	over     bool             // arguments are longer than maxCall
	released int              // of result.ToolCalls, how many have gone on
	ends     []int            // of those that have not: where in what is held they end
	finished []int            // choices, as in result.FinishReasons
	said     [][]byte         // of this event: the texts and arguments that its format has found
	result   Result

	single   bool   // the answer is one body, so that what it says is final
	counting bool   // the usage is the provider's final count
	stated   bool   // the usage states both input and output, and nothing in it is unreadable
	tier     string // that has served the request; empty for the usual one
}

// gated reports whether calls are held.
func (g *gate) gated() bool { return g.judge != nil || g.watch.forbids() }

// begins is the beginning of an event.
func (g *gate) begins() {
	g.said = g.said[:0]
	g.touched = g.touched[:0]
}

// holds reports whether the event has to wait.
func (g *gate) holds() bool {
	if !g.gated() {
		return false
	}
	return len(g.due) > 0 || g.watch.waiting() || slices.ContainsFunc(g.touched, (*call).keeps)
}

// keeps reports whether the last fragment of c may complete it for a client.
func (c *call) keeps() bool {
	return c.withheld && !c.judged || c.args.fresh && c.args.reading != readOpen
}

// spoken is the text that the arguments of c are.
func (c *call) spoken() key { return key{c.key.choice, c.serial, "arguments"} }

// place notes that the event begins at an offset of what is held.
func (g *gate) place(at int) {
	for _, c := range g.touched {
		switch {
		case !c.keeps():
			c.tail = -1
		case c.tail < 0 || c.args.reading == readFree && !c.withheld:
			c.tail = at
		}
	}
}

// free returns how much of what is held may go on, of n bytes, and takes it for gone.
func (g *gate) free(n int) int {
	if g.gated() && (len(g.due) > 0 || g.watch.waiting()) {
		return 0
	}
	for _, c := range g.open {
		if c.tail >= 0 {
			n = min(n, c.tail)
		}
	}
	for _, c := range g.open {
		c.tail = max(c.tail-n, -1)
	}
	for len(g.ends) > 0 && g.ends[0] <= n {
		g.ends = g.ends[1:]
		g.released++
	}
	for i := range g.ends {
		g.ends[i] -= n
	}
	return n
}

func (g *gate) undecided() bool { return len(g.due) > 0 }

func (g *gate) find(k key) *call {
	for _, c := range slices.Backward(g.open) {
		if c.key == k {
			return c
		}
	}
	return nil
}

// begin begins a call. To some clients that is the end of the one before it: what is
// held of that has to be judged as it is.
func (g *gate) begin(k key, tool llmapi.ToolCall) (*call, error) {
	if g.count == maxCalls {
		return nil, fmt.Errorf("%w: %d tool calls", ErrTooLarge, maxCalls)
	}
	for _, c := range g.open {
		if c.keeps() {
			g.settle(c)
		}
	}
	g.count++
	c := &call{ToolCall: tool, key: k, serial: g.count, tail: -1}
	g.open = append(g.open, c)
	return c, nil
}

// fragment adds to the arguments of c.
func (g *gate) fragment(c *call, arguments []byte) {
	if !g.gated() {
		return
	}
	if len(c.args.text)+len(arguments) > g.maxCall {
		g.over = true
		return
	}
	if len(arguments) > 0 {
		g.say(c.spoken(), Arguments, arguments)
		g.kept += len(arguments)
		if said := c.args.add(arguments); said || c.tail < 0 {
			g.touch(c)
		}
	}
	if c.args.reading == readWhole && c.Name != "" && !c.judged {
		g.settle(c)
	}
}

// touch notes that the event is about c.
func (g *gate) touch(c *call) {
	if g.judge != nil {
		g.touched = append(g.touched, c)
	}
}

// version adds arguments that are whole.
func (g *gate) version(c *call, arguments []byte) {
	if !g.gated() || len(arguments) == 0 {
		return
	}
	if len(arguments) > g.maxCall {
		g.over = true
		return
	}
	// An answer can have thousands of them: to compare each with each would take
	// the square of the time.
	sum := sha256.Sum256(canonical(arguments))
	if _, ok := c.sums[sum]; ok {
		return
	}
	if c.sums == nil {
		c.sums = make(map[[sha256.Size]byte]struct{})
	}
	c.sums[sum] = struct{}{}
	c.versions = append(c.versions, arguments)
	g.kept += len(arguments)
	g.settle(c)
}

// settle has c judged as far as it is known.
func (g *gate) settle(c *call) {
	if !c.due && (!c.judged || c.args.fresh || len(c.versions) > 0) {
		c.due = true
		g.due = append(g.due, c)
	}
}

// end is the end of c.
func (g *gate) end(c *call) {
	if c.ended {
		return
	}
	c.ended = true
	g.open = slices.DeleteFunc(g.open, func(o *call) bool { return o == c })
	g.watch.forget(c.spoken())
	if g.settle(c); !c.due {
		g.forget(c)
	}
}

// completeAll is the end of everything that is open.
func (g *gate) completeAll() {
	for len(g.open) > 0 {
		g.end(g.open[0])
	}
	g.watch.endAll()
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

// decide judges the calls that are due.
func (g *gate) decide(held int) error {
	for len(g.due) > 0 {
		c := g.due[0]
		if err := g.decideCall(c); err != nil {
			return err
		}
		c.due, c.judged, c.args.fresh, c.tail = false, true, false, -1
		if c.recorded == 0 {
			g.record(c, nil)
			if g.gated() {
				g.ends = append(g.ends, held)
			}
		}
		if c.ended {
			g.forget(c)
		}
		g.due = slices.Delete(g.due, 0, 1)
	}
	return nil
}

// forget gives back what a call takes.
func (g *gate) forget(c *call) {
	g.kept -= len(c.args.text)
	c.args.text, c.sums = nil, nil
}

// decideCall judges every version of a call that is known.
func (g *gate) decideCall(c *call) error {
	if c.args.fresh {
		g.version(c, c.args.text)
	}
	if len(c.versions) == 0 && !c.judged {
		c.versions = append(c.versions, nil)
	}
	for _, arguments := range c.versions {
		if err := g.watch.inArguments(arguments); err != nil {
			return err
		}
		tool := c.ToolCall
		tool.Arguments = arguments
		if g.judge != nil {
			if err := g.judge(tool); err != nil {
				return err
			}
		}
		g.remember(tool)
		g.kept -= len(arguments)
	}
	c.versions = nil
	return nil
}

// remember notes that a call has been judged, or seen where nothing is held.
func (g *gate) remember(tool llmapi.ToolCall) {
	if g.counts == nil {
		g.counts = make(map[identity]int)
	}
	g.counts[g.identity(tool)]++
	g.counts[g.alike(tool)]++
}

func (g *gate) identity(tool llmapi.ToolCall) identity {
	id := identity{name: tool.Name, id: tool.ID}
	if g.gated() {
		id.arguments = sha256.Sum256(canonical(tool.Arguments))
	}
	return id
}

// alike is the identity of a call without its id.
func (g *gate) alike(tool llmapi.ToolCall) identity {
	id := g.identity(tool)
	id.id, id.alike = "", true
	return id
}

// known reports whether a call has been judged before, or just seen where
// nothing is held.
func (g *gate) known(tool llmapi.ToolCall) bool { return g.counts[g.identity(tool)] > 0 }

// abandon notes that the calls which have not gone on will not.
func (g *gate) abandon(reason error) {
	if g.gated() {
		for i := range g.result.ToolCalls[g.released:] {
			g.result.ToolCalls[g.released+i].Refused = reason
		}
	}
	for _, c := range slices.Concat(g.due, g.open) {
		switch {
		case c.recorded == 0:
			g.record(c, reason)
		case c.due:
			g.result.ToolCalls[c.recorded-1].Refused = reason
		}
	}
	g.due, g.open = nil, nil
	g.watch.endAll()
}

// say passes on text that the client will see.
func (g *gate) say(k key, kind TextKind, text []byte) {
	if len(text) == 0 {
		return
	}
	g.watch.say(k, Text{k.choice, kind}, text)
	g.said = append(g.said, text)
}

// maxSaid is how many texts of an event are told from others: more than events of any
// API have.
const maxSaid = 16

// wasSaid reports whether this event's format has found text.
func (g *gate) wasSaid(text []byte) bool {
	return len(g.said) <= maxSaid && slices.ContainsFunc(g.said, func(said []byte) bool { return bytes.Equal(said, text) })
}

// largest is the length of the longest arguments that wait for a verdict.
func (g *gate) largest() int {
	n := 0
	for _, c := range g.due {
		n = max(n, len(c.args.text))
		for _, v := range c.versions {
			n = max(n, len(v))
		}
	}
	return n
}
