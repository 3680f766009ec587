package torture

import (
	"fmt"
	"os"
	"sync"
	"testing"
)

// TestTheHarnessFindsLoss lets hpcloud/tail, which knows of no rotated files,
// be away over rotations: it must lose lines, and a harness that does not see
// them would prove nothing about the shipper.
func TestTheHarnessFindsLoss(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	t.Parallel()
	m, err := modeNamed("down_rename")
	if err != nil {
		t.Fatal(err)
	}
	if v := tortureTail(t, m, fast, workFor(t, len(modes()))); v.lost == 0 || v.faults(m) == "" {
		t.Errorf("nothing lost: %+v", v)
	}
}

// TestBaseline measures what hpcloud/tail loses where the shipper loses nothing,
// under the same seed: once left in peace, and once with the same kills, where
// it goes on from the offset that it reported last.
func TestBaseline(t *testing.T) {
	if os.Getenv("TEST_BASELINE") == "" {
		t.Skip("a measurement, made if TEST_BASELINE is set")
	}
	ours, peace, killed := newResults(), newResults(), newResults()
	runs := len(modes()) * 5
	w := workFor(t, runs)
	t.Run("runs", func(t *testing.T) {
		for _, m := range modes() {
			t.Run(m.name+"/hpcloud/calm", func(t *testing.T) {
				t.Parallel()
				peace.add(m, tortureTail(t, m, calm, w))
			})
			for _, how := range []pace{fast, slow} {
				t.Run(m.name+"/hpcloud/"+string(how), func(t *testing.T) {
					t.Parallel()
					killed.add(m, tortureTail(t, m, how, w))
				})
				t.Run(m.name+"/shipper/"+string(how), func(t *testing.T) {
					t.Parallel()
					ours.add(m, torturePipeline(t, m, how, w))
				})
			}
		}
	})
	fmt.Println("| mode | lines | rotations | in windows | shipper, killed | hpcloud/tail, left alone | hpcloud/tail, killed |")
	fmt.Println("|---|--:|--:|--:|--:|--:|--:|")
	for _, m := range modes() {
		o, p, k := ours.of(m), peace.of(m), killed.of(m)
		fmt.Printf("| %s | %d | %d | %d | %s | %s of %d | %s |\n",
			m.name, o.written, o.rotations, o.inWindows, o.cell(), p.cell(), p.written, k.cell())
	}
	for _, m := range modes() {
		o, p, k := ours.of(m), peace.of(m), killed.of(m)
		fmt.Printf("result torture_%s_lost_ours %d lines\n", m.name, o.lost)
		fmt.Printf("result torture_%s_doubled_ours %d lines\n", m.name, o.doubled)
		fmt.Printf("result torture_%s_lost_hpcloud %d lines\n", m.name, k.lost)
		fmt.Printf("result torture_%s_doubled_hpcloud %d lines\n", m.name, k.doubled)
		fmt.Printf("result torture_%s_lost_hpcloud_alone %d lines\n", m.name, p.lost)
	}
}

func tortureTail(t *testing.T, m mode, how pace, w work) verdict {
	t.Helper()
	var x *tailer
	v := torture(t, m, newSchedule(m, how, w), w, func(path string) target {
		x = startTailer(t, path)
		return x
	})
	v.died = x.died()
	return v
}

// results sums verdicts by mode.
type results struct {
	mu  sync.Mutex
	sum map[string]verdict
}

func newResults() *results { return &results{sum: make(map[string]verdict)} }

func (r *results) add(m mode, v verdict) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.sum[m.name]
	s.written += v.written
	s.rotations += v.rotations
	s.inWindows += v.inWindows
	s.lost += v.lost
	s.doubled += v.doubled
	s.disordered += v.disordered
	s.corrupt += v.corrupt
	s.died += v.died
	r.sum[m.name] = s
}

func (r *results) of(m mode) verdict {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sum[m.name]
}

// cell is a verdict in a table: what was lost and doubled, and what else, if
// anything, went wrong.
func (v verdict) cell() string {
	s := fmt.Sprintf("%d / %d", v.lost, v.doubled)
	for _, more := range []struct {
		n    int
		text string
	}{{v.disordered, "out of order"}, {v.corrupt, "corrupt"}, {v.died, "exits"}} {
		if more.n > 0 {
			s += fmt.Sprintf(", %d %s", more.n, more.text)
		}
	}
	return s
}
