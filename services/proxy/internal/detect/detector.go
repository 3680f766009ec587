package detect

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/proxy/internal/detect/seen"
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
	request  *battery // for the segments of requests
	call     *battery // for the arguments of tool calls
	commands *battery // for what shellText makes of them
	answer   *battery // for the text of answers
	carry    int      // bytes of an answer that are looked at again with what follows

	segments *seen.Cache[[]Finding] // the enforced findings of each segment
	pins     *seen.Cache[pin]
	loop     *loop
	work     sync.Pool // of *work
}

// New returns a detector. Its error names every fault of c: modes of rules that
// do not exist, negative limits, canaries that are too short, values that are
// too long or too many.
func New(c Config) (*Detector, error) {
	values, err := valueProbes(c)
	if err := errors.Join(c.Modes.Validate(), c.Loop.Validate(), err); err != nil {
		return nil, fmt.Errorf("setting up the detections: %w", err)
	}
	d := &Detector{
		modes:    make(Modes),
		segments: seen.NewCache[[]Finding](maxSegments),
		pins:     seen.NewCache[pin](maxTools),
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
	d.request = d.battery(secretReach, values, secretProbes(SecretInPrompt, proto.SeverityLow), injectionProbes())
	d.call = d.battery(secretReach, values, secretProbes(Secret, proto.SeverityHigh))
	d.commands = d.battery(commandReach, commandProbes())
	d.answer = d.battery(reach{}, values)
	hash := seen.NewHash()
	d.work.New = func() any { return newWork(hash.Fork()) }
	return d, nil
}

// battery makes one of those probes whose rules are not off.
func (d *Detector) battery(r reach, groups ...[]probe) *battery {
	return newBattery(r, slices.DeleteFunc(slices.Concat(groups...), func(p probe) bool {
		return d.modes[p.rule] == Off
	}))
}
