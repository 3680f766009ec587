package torture

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/openclaw-security/bus/services/testing/childproc"
	"github.com/openclaw-security/bus/services/testing/testenv"
)

// A soak flatly needs no more memory and descriptors at its end than early on.
// The bounds are generous: what leaks in earnest leaks without end.
const (
	maxGrowthMB = 24
	maxGrowthFD = 12
)

const (
	briefSoak = 60 * time.Second
	// soakRate and soakLines bound what a long soak stores: less than the stream
	// keeps.
	soakRate  = 400
	soakLines = 1_500_000
	// soakKeep is how many rotated files are kept, at one rotation a second:
	// longer than any absence.
	soakKeep = 30
	// soakKills are the kills of the server. After half as many of the shipper
	// its last process lives on to be measured.
	soakKills = 8
)

// TestSoak lets one shipper process live through rotations, outages and kills of
// the server, and watches its memory and its descriptors.
func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	if !childproc.HasUsage {
		t.Skip(needsProc)
	}
	m, err := modeNamed("rename_gzip")
	if err != nil {
		t.Fatal(err)
	}
	t.Parallel()
	w := work{time: testenv.Duration(t, briefSoak) * 4 / 5, rate: soakRate, seed: testenv.Seed(t), keep: soakKeep}
	w.rate = min(w.rate, int(soakLines/w.time.Seconds()))
	w.rotations = int(w.time.Seconds())

	lines, random := w.lines(m), rand.New(rand.NewPCG(w.seed, 0))
	var plan schedule
	plan.writing = append(plan.writing, strikes(stopReader, soakKills/2, 0, lines/8, random)...)
	plan.writing = append(plan.writing, outages(soakKills, lines, 2*w.rate, random)...)
	plan.arrange(m)

	var p *pipeline
	var usage sampler
	v := torture(t, m, plan, w, func(path string) target {
		p = startPipeline(t, path)
		usage.start(t, p)
		return p
	})
	if faults := v.faults(m); faults != "" {
		t.Errorf("%s\n%s", faults, p.story())
	}
	life := usage.lastLife(t)
	// The first quarter warms up: buffers grow to what they need once.
	early, late := life[len(life)/4:len(life)/2], life[len(life)*3/4:]
	rss := median(late, func(u childproc.Usage) int { return u.RSS }) - median(early, func(u childproc.Usage) int { return u.RSS })
	fds := median(late, func(u childproc.Usage) int { return u.FDs }) - median(early, func(u childproc.Usage) int { return u.FDs })
	peak := slices.MaxFunc(life, func(a, b childproc.Usage) int { return a.RSS - b.RSS })
	t.Logf("%d lines, %d rotations, %d samples of one process, at most %.1f MB", v.written, v.rotations, len(life), megabytes(peak.RSS))
	fmt.Printf("result soak_rss_growth_mb %.1f MB\n", megabytes(rss))
	fmt.Printf("result soak_fd_growth %d descriptors\n", fds)
	if megabytes(rss) > maxGrowthMB {
		t.Errorf("memory has grown by %.1f MB", megabytes(rss))
	}
	if fds > maxGrowthFD {
		t.Errorf("descriptors have grown by %d", fds)
	}
}

// outages kills the server n times, spread over the run, and each time lets it
// be away while up to length lines are written.
func outages(n, lines, length int, random *rand.Rand) []step {
	var steps []step
	part := lines / n
	for i := range n {
		from := i*part + random.IntN(part/4)
		to := from + random.IntN(min(length, part/2))
		steps = append(steps, step{from, stopStore}, step{to, startStore})
	}
	return steps
}

// needsProc is why memory and descriptors are not looked at.
const needsProc = "it needs the /proc of Linux"

const sampleInterval = 100 * time.Millisecond

// sampler looks at the shipper's process all the time.
type sampler struct {
	mu      sync.Mutex
	samples []childproc.Usage
}

// start samples until the test ends.
func (x *sampler) start(t *testing.T, p *pipeline) {
	stop := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		tick := time.NewTicker(sampleInterval)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-stop:
				return
			}
			if s, err := p.shipper.Usage(); err == nil { // it may just be killed
				x.mu.Lock()
				x.samples = append(x.samples, s)
				x.mu.Unlock()
			}
		}
	})
	t.Cleanup(func() { close(stop); done.Wait() })
}

// lastLife returns the samples of the last process.
func (x *sampler) lastLife(t *testing.T) []childproc.Usage {
	t.Helper()
	x.mu.Lock()
	defer x.mu.Unlock()
	const enough = 40
	i := len(x.samples)
	for i > 0 && x.samples[i-1].PID == x.samples[len(x.samples)-1].PID {
		i--
	}
	if len(x.samples)-i < enough {
		t.Fatalf("only %d samples of the last process", len(x.samples)-i)
	}
	return x.samples[i:]
}

func median(samples []childproc.Usage, of func(childproc.Usage) int) int {
	var values []int
	for _, s := range samples {
		values = append(values, of(s))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

func megabytes(n int) float64 { return float64(n) / (1 << 20) }
