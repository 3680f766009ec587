package e2e

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/openclaw-security/bus/services/testing/testenv"
)

// Each container is killed under load, one after another and then at random for
// TEST_DURATION.
func TestKillsLoseAndRepeatNothing(t *testing.T) {
	r := newRig(t, 7*time.Minute, setup{})
	random := rand.New(rand.NewPCG(testenv.Seed(t), 0))
	l := r.startLoad()

	victims := r.ours()
	random.Shuffle(len(victims), func(i, j int) { victims[i], victims[j] = victims[j], victims[i] })
	kills := 0
	for _, victim := range victims {
		pass(r.ctx, time.Second)
		r.kill(victim)
		kills++
		// The others go on without it for a while.
		pass(r.ctx, time.Second)
		r.start(victim)
		r.awaitHealthy(victim)
	}
	t.Logf("each of %d containers has been killed once after %.0f s", len(victims), time.Since(l.begun).Seconds())

	for end := time.Now().Add(testenv.Duration(t, 30*time.Second)); time.Now().Before(end); {
		// At any moment, whether the last one is well again or not.
		pass(r.ctx, time.Duration(300+random.IntN(2000))*time.Millisecond)
		victim := victims[random.IntN(len(victims))]
		r.kill(victim)
		kills++
		r.start(victim)
	}
	for _, u := range victims {
		r.awaitHealthy(u)
	}
	t.Logf("%d kills", kills)
	r.judge(l)
}
