package follow

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/openclaw-security/bus/services/testing/testenv"
)

// TestScenariosAtRandom mixes writing, rotation, reading, pauses, kills and restarts
// at an older checkpoint, with each scheme of names. A failure can be repeated by
// its seed.
func TestScenariosAtRandom(t *testing.T) {
	deadline := time.Now().Add(testenv.Duration(t, 2*time.Second))
	for seed := uint64(0); !t.Failed() && (seed < 1 || time.Now().Before(deadline)); seed++ {
		for _, names := range schemes() {
			if names.unread {
				continue
			}
			t.Run(fmt.Sprintf("%s/seed %d", names.name, seed), func(t *testing.T) {
				playAtRandom(t, names, rand.New(rand.NewPCG(seed, 5)))
			})
		}
	}
}

func playAtRandom(t *testing.T, names scheme, rng *rand.Rand) {
	s := newStage(t, names)
	s.cfg.Logger = failureLog(t)
	if rng.IntN(4) == 0 && !names.unrelated { // Of two unknowns one is too many.
		s.header = `{"program":"sensor","version":1}`
	}
	s.up()
	s.read()
	s.write(2)
	s.read()
	down := false
	for range 60 {
		switch rng.IntN(10) {
		case 0, 1, 2:
			s.write(1 + rng.IntN(4))
		case 3:
			s.write(1)
			s.rotate()
			if rng.IntN(3) > 0 {
				s.write(1)
			}
		case 4:
			s.clock = s.clock.Add(time.Duration(rng.IntN(20)) * time.Second)
		case 5:
			if !down {
				s.stop()
				down = true
			}
		default:
			if down {
				s.up()
				down = false
			}
			switch rng.IntN(5) {
			case 0:
				s.read()
			case 1:
				s.readUntil(rng.IntN(12))
				s.kill()
			case 2:
				s.rewind(rng.IntN(8))
			default:
				s.step(1 + rng.IntN(10))
			}
		}
	}
	if down {
		s.up()
	}
	s.ended()
	if r := s.result(); r.lost > 0 || r.doubled > 0 || r.gaps > 0 || r.sameID > 0 || r.misplaced > 0 {
		t.Errorf("%+v %q, lost %q", r, s.gaps, s.missing())
	}
}
