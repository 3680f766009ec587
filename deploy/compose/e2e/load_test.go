package e2e

import (
	"context"
	"sync"
	"time"
)

// Rates of the load, each second.
const (
	suricataRate = 200 // lines
	traceeRate   = 20
	requestRate  = 5
)

// load is what goes on while containers are killed, stopped and cut off.
type load struct {
	suricata, tracee *sensor
	agent            *agent
	begun            time.Time
	lasted           time.Duration // until it was stopped
	end              context.CancelFunc
	running          sync.WaitGroup
}

// newLoad is a load that has not begun.
func (r *rig) newLoad() *load {
	return &load{suricata: r.suricata(), tracee: r.tracee(), agent: r.agent()}
}

// startLoad starts a load; judge ends it.
func (r *rig) startLoad() *load {
	l := r.newLoad()
	r.begin(l)
	return l
}

func (r *rig) begin(l *load) {
	ctx, cancel := context.WithCancel(r.ctx)
	l.begun, l.end = time.Now(), cancel
	l.running.Go(func() { l.suricata.play(ctx, r.t, suricataRate) })
	l.running.Go(func() { l.tracee.play(ctx, r.t, traceeRate) })
	l.running.Go(func() { l.agent.play(ctx, r.t, requestRate) })
	r.t.Cleanup(l.stop)
}

// stop ends the load and waits for what was under way. What it counted can be
// read afterwards.
func (l *load) stop() {
	l.end()
	l.running.Wait()
	if l.lasted == 0 {
		l.lasted = time.Since(l.begun)
	}
}
