package torture

import (
	"flag"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/openclaw-security/bus/services/testing/testenv"
)

// lineRate is how many lines are written in a second: few enough that everything
// keeps up with them under the race detector, and hpcloud/tail with ease.
const lineRate = 1500

// briefRun is how long a run writes if nobody asks for more.
const briefRun = time.Second

// TestTorture runs every mode, with processes killed all the time, and expects
// that what is stored is what was written.
func TestTorture(t *testing.T) {
	if testing.Short() {
		t.Skip("takes about a minute")
	}
	paces := []pace{fast, slow}
	w := workFor(t, len(modes())*len(paces))
	for _, m := range modes() {
		for _, how := range paces {
			t.Run(m.name+"/"+string(how), func(t *testing.T) {
				t.Parallel()
				v := torturePipeline(t, m, how, w)
				t.Logf("%d lines, %d rotations: %d lost (%d written in windows), %d gaps of %d bytes\n%s",
					v.written, v.rotations, v.lost, v.inWindows, v.gaps, v.gapBytes, strings.Join(v.examples, "\n"))
			})
		}
	}
}

func torturePipeline(t *testing.T, m mode, how pace, w work) verdict {
	t.Helper()
	var p *pipeline
	v := torture(t, m, newSchedule(m, how, w), w, func(path string) target {
		p = startPipeline(t, path)
		return p
	})
	if faults := v.faults(m); faults != "" {
		t.Errorf("%s\n%s", faults, p.story())
	}
	return v
}

// workFor divides the time that TEST_DURATION gives all runs, which go on several
// at a time, among so many.
func workFor(t *testing.T, runs int) work {
	t.Helper()
	w := work{time: briefRun, rate: lineRate, seed: testenv.Seed(t), kills: 3, rotations: 8, keep: 1000}
	if total := testenv.Duration(t, 0); total > 0 {
		w.time = max(briefRun, total*time.Duration(parallel(t))/time.Duration(runs))
		w.rotations = max(w.rotations, int(w.time.Seconds()))
		w.kills = max(w.kills, int(w.time.Seconds()/2))
	}
	return w
}

func parallel(t *testing.T) int {
	t.Helper()
	n, err := strconv.Atoi(flag.Lookup("test.parallel").Value.String())
	if err != nil {
		t.Fatal(err)
	}
	return n
}
