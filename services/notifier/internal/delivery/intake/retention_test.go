package intake

import (
	"math/rand/v2"
	"testing"
)

func TestSequences(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		s := sequences{known: true}
		fetched := make(map[uint64]bool)
		for range 50 {
			n := uint64(1 + r.IntN(60))
			fetched[n] = true
			s.add(n)
		}
		first := uint64(1 + r.IntN(70))
		want := uint64(0)
		for n := uint64(1); n < first; n++ {
			if !fetched[n] {
				want++
			}
		}
		if lost, upTo := s.first(first); lost != want || upTo {
			t.Fatalf("lost %d, want %d", lost, want)
		}
		if lost, _ := s.first(first); lost != 0 {
			t.Fatalf("lost %d once more", lost)
		}
	}
}
