package e2e

import (
	"testing"
	"time"
)

// outage is for how long something is out of reach.
const outage = 8 * time.Second

// The server, and then a shipper, is cut off the network under load, and comes
// back under another address.
func TestNetworkCutsLoseAndRepeatNothing(t *testing.T) {
	r := newRig(t, 5*time.Minute, setup{})
	l := r.startLoad()
	pass(r.ctx, 3*time.Second)
	for i, name := range []string{"nats", "shipper-suricata"} {
		u := r.units[name]
		r.disconnect(u, r.inner)
		pass(r.ctx, outage)
		r.reconnect(u, r.inner, 200+byte(i))
		for _, each := range r.ours() {
			r.awaitHealthy(each)
		}
		t.Logf("%s was cut off for %s; all are healthy again %.0f s after the beginning", name, outage, time.Since(l.begun).Seconds())
		pass(r.ctx, 2*time.Second)
	}
	r.judge(l)
}

// Each container in turn is stopped and started under load, as for an update.
func TestRollingRestart(t *testing.T) {
	r := newRig(t, 5*time.Minute, setup{})
	l := r.startLoad()
	for _, u := range r.ours() {
		pass(r.ctx, time.Second)
		begun := time.Now()
		code := r.stop(u)
		took := time.Since(begun)
		if code != 0 || took > graceful {
			t.Errorf("%s ended with exit code %d after %s", u.name, code, took.Round(time.Millisecond))
		}
		r.start(u)
		r.awaitHealthy(u)
		t.Logf("%s stopped within %s and is healthy again", u.name, took.Round(10*time.Millisecond))
	}
	r.judge(l)
}
