package torture

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"math"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/openclaw-security/bus/services/testing/childproc"
)

// tailer is hpcloud/tail under torture.
type tailer struct {
	job     tailTask
	process childproc.Process

	mu      sync.Mutex
	running bool // it is meant to run
	paused  bool
	deaths  int

	counted   int   // lines stored, as of the last count
	countedTo int64 // and where it ended
}

var _ target = (*tailer)(nil)

func startTailer(t *testing.T, path string) *tailer {
	t.Helper()
	job := tailTask{Path: path, Out: filepath.Join(t.TempDir(), "stored")}
	x := &tailer{job: job, process: childproc.Process{
		Role: roleTail, Task: job, Log: new(childproc.Log),
		// The library has data races, which are not to stop it here.
		Env: []string{"GORACE=log_path=/dev/null atexit_sleep_ms=0"},
	}}
	if err := x.do(startReader); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := x.do(stopReader); err != nil {
			t.Error(err)
		}
	})
	return x
}

// do implements target.
func (x *tailer) do(a act) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch a {
	case stopReader:
		x.running = false
		if err := x.process.Kill(); err != nil && !errors.Is(err, childproc.ErrEnded) {
			return err
		}
		return nil
	case startReader:
		x.running = true
		return x.start()
	default:
		x.paused = a == stopStore
		return x.tellPaused()
	}
}

// start starts a process and another one whenever it ends by itself, as a supervisor
// would do. x.mu must be held.
func (x *tailer) start() error {
	if err := x.process.Start(); err != nil {
		return err
	}
	ended := x.process.Ended()
	go func() {
		<-ended
		x.mu.Lock()
		defer x.mu.Unlock()
		if x.running && x.process.Ended() == ended {
			x.deaths++
			if err := x.start(); err != nil {
				x.process.Log.Add(err.Error())
			}
		}
	}()
	if x.paused {
		return x.tellPaused()
	}
	return nil
}

// tellPaused tells the process, which may just have ended, to pause or go on.
func (x *tailer) tellPaused() error {
	command := "go\n"
	if x.paused {
		command = "pause\n"
	}
	if _, err := io.WriteString(&x.process, command); err != nil {
		x.process.Log.Add(err.Error())
	}
	return nil
}

// stored implements target.
func (x *tailer) stored(context.Context) (int, error) {
	f, err := os.Open(x.job.Out)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	x.mu.Lock()
	defer x.mu.Unlock()
	added, err := io.ReadAll(io.NewSectionReader(f, x.countedTo, math.MaxInt64-x.countedTo))
	x.counted += bytes.Count(added, []byte{'\n'})
	x.countedTo += int64(len(added))
	return x.counted, err
}

// patience implements target.
func (x *tailer) patience() time.Duration { return 3 * time.Second }

// records implements target.
func (x *tailer) records(context.Context) iter.Seq2[record, error] {
	return func(yield func(record, error) bool) {
		for line, err := range storedLines(x.job.Out) {
			if !yield(record{text: line.text}, err) {
				return
			}
		}
	}
}

// died returns how often its process has ended by itself and was replaced.
func (x *tailer) died() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.deaths
}

// story implements target.
func (x *tailer) story() string { return x.process.Log.String() }
