// Package detect holds the detections that are built into the proxy. They look
// at what a client sends, at what a model answers, and above all at the tool
// calls in between, which is where an answer becomes an act.
//
//	request ─▶ segments ─▶ seen before? ─▶ its findings, if they are enforced
//	              │             └ no ─▶ values, secrets, injection, hidden Unicode ─▶ findings
//	              ├─ tools ─▶ drift
//	              └─ rate
//	answer  ─▶ text, with a carry-over ─▶ values, links that carry data
//	        └▶ tool call ─▶ decoded strings ─▶ values, secrets bound for the network, hidden Unicode
//	                           ├─▶ made plain (quotes, escapes, base64) ─▶ dangerous commands
//	                           └─▶ repetition
//
// One pass of an automaton over a text finds keywords; an expression runs only
// around the keywords of its own. So ordinary text costs one table lookup a
// byte, however many rules there are.
//
// The detections are a net, not a wall: an attacker who may write any text can
// encode it in a way that none of them knows. They catch the careless and the
// copied attack, which is what most attacks are, and leave a record of it.
//
// All state is in memory, bounded, and gone with the process: after a restart a
// tool's next definition is the one that later ones are compared with, and
// findings in an old history are reported once more.
package detect

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/rules/lists"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/proxy/internal/known"
)

// Bounds of what a detector remembers. An entry is some 50 bytes.
const (
	maxSegments = 1 << 16 // a long history has some hundred
	maxTools    = 1 << 13
	maxCalls    = 1 << 13
	maxClients  = 1 << 10
)

// Config is what a detector looks for. Its zero value has every rule's default.
type Config struct {
	Modes    Modes
	Keys     []config.Secret // the keys that the proxy holds; those shorter than MinValueBytes are not watched
	Canaries []config.Secret // values that nothing legitimate ever sends; at least MinValueBytes long
	Loop     Loop
	Now      func() time.Time // time.Now if nil
}

// Detector runs the rules. It is safe for concurrent use.
type Detector struct {
	modes    Modes    // of every rule
	request  *scanner // for the segments of requests
	call     *scanner // for the arguments of tool calls
	commands *scanner // for what shellText makes of them
	answer   *scanner // for the text of answers
	carry    int      // bytes of an answer that are looked at again with what follows

	segments *known.Cache[[]Finding] // the enforced findings of each segment
	remote   *known.Cache[struct{}]  // the references that were reported
	links    *known.Cache[struct{}]  // that stood in requests
	meanings *known.Cache[meaning]
	pins     *known.Cache[pin]
	loop     *loop
	scratch  sync.Pool // of *scratch
}

// New returns a detector. Its error names every fault of c: modes of rules that
// do not exist, negative limits, canaries that are too short, values that are
// too long or too many.
func New(c Config) (*Detector, error) {
	values, err := valueSignatures(c)
	paths, pathsErr := lists.LoadPaths()
	if err := errors.Join(c.Modes.Validate(), c.Loop.Validate(), err, pathsErr); err != nil {
		return nil, fmt.Errorf("setting up the detections: %w", err)
	}
	d := &Detector{
		modes:    make(Modes),
		segments: known.NewCache[[]Finding](maxSegments),
		remote:   known.NewCache[struct{}](maxTools),
		links:    known.NewCache[struct{}](maxLinks),
		meanings: known.NewCache[meaning](maxTools),
		pins:     known.NewCache[pin](maxTools),
		loop:     newLoop(c),
	}
	for _, r := range Rules() {
		d.modes[r.Name] = c.Modes.of(r)
	}
	for _, secrets := range [][]config.Secret{c.Keys, c.Canaries} {
		for _, s := range secrets {
			d.carry = max(d.carry, maxEscape*len(s.Reveal())+slack)
		}
	}
	d.request = d.scanner(injectionReach, d.modes[SecretInPrompt] != Off, values, injectionSignatures())
	d.call = d.scanner(reach{}, false, values)
	d.commands = d.scanner(commandReach, false, commandSignatures(paths))
	d.answer = d.scanner(reach{}, false, values)
	hash := known.NewHash()
	d.scratch.New = func() any { return newScratch(hash.Fork()) }
	return d, nil
}

// scanner makes one of those signatures whose rules are not off, and of secrets.
func (d *Detector) scanner(r reach, secrets bool, groups ...[]signature) *scanner {
	return newScanner(r, slices.DeleteFunc(slices.Concat(groups...), func(p signature) bool {
		return d.modes[p.rule] == Off
	}), secrets)
}

// Where a finding was made; the words of proto.Finding.
const (
	InRequest  = "request"
	InResponse = "response"
	InToolCall = "tool_call"
)

// Finding is what a rule saw.
type Finding struct {
	Rule     string
	Severity proto.Severity
	Where    string // InRequest, InResponse or InToolCall
	Path     string // of the segment, for what was found in a request's text
	// Detail is what was seen, in a few fixed words and numbers: nothing of the text
	// itself, but for the host or id of remote content, quoted and cut.
	Detail   string
	Enforced bool // it is not to pass
	Repeated bool // reported before: for the record, not for an alert
}

// maxFindings bounds what is reported of one request or call.
const maxFindings = 32

// findings is a bounded list.
type findings struct {
	list     []Finding
	enforced bool
}

func (l *findings) add(f Finding) {
	if len(l.list) == maxFindings {
		if !f.Enforced || l.enforced {
			return
		}
		l.list = l.list[:maxFindings-1]
	}
	l.enforced = l.enforced || f.Enforced
	l.list = append(l.list, f)
}

// maxKept bounds the buffers that are kept between texts.
const maxKept = 1 << 20

// scratch is what looking at one request, call or part of an answer needs. It is
// used again for the next one.
type scratch struct {
	hash    *known.Hash
	scan    scan
	plain   [maxRounds][]byte
	text    []byte
	shell   []byte
	defined map[known.Key]known.Key // of the tools in a request: name to definition
}

func newScratch(h *known.Hash) *scratch {
	return &scratch{hash: h, defined: make(map[known.Key]known.Key)}
}

func (d *Detector) borrow() *scratch { return d.scratch.Get().(*scratch) }

func (d *Detector) giveBack(w *scratch) {
	for _, b := range []*[]byte{&w.text, &w.shell, &w.plain[0], &w.plain[1]} {
		if cap(*b) > maxKept {
			*b = nil
		}
	}
	clear(w.defined)
	d.scratch.Put(w)
}

// run adds to s.hits what b finds in text, as it is and without its escapes.
func (w *scratch) run(b *scanner, s *scan, text []byte) {
	for layer := range w.layers(text) {
		b.run(s, layer)
		b.spell(s, b.spelled.In(layer))
	}
}

// layers yields text as it is and without its escapes.
func (w *scratch) layers(text []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for round := 0; yield(text) && round < len(w.plain); round++ {
			var changed bool
			if w.plain[round], changed = plain(w.plain[round], text); !changed {
				return
			}
			text = w.plain[round]
		}
	}
}
