package torture

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/hpcloud/tail"

	"github.com/openclaw-security/bus/services/testing/childproc"
)

// tailTask is what a process with hpcloud/tail is to follow and where to store
// lines.
type tailTask struct{ Path, Out string }

// globInterval is how often a pattern is looked up for files to follow, which
// hpcloud/tail leaves to its caller.
const globInterval = 250 * time.Millisecond

// playTail is what such a process does. It follows as the library's documentation
// suggests, for each file one Tail that reopens, and stores with each line what
// Tell says. A successor goes on from there; a file that is shorter it reads from
// the beginning. "pause" and "go" on stdin hold up the consumer.
func playTail(context.Context) error {
	var job tailTask
	if err := childproc.Task(&job); err != nil {
		return err
	}
	offsets, err := lastOffsets(job.Out)
	if err != nil {
		return err
	}
	out, err := os.OpenFile(job.Out, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	c := &tailConsumer{out: out, ended: make(chan error)}
	go func() { c.ended <- c.obey(os.Stdin) }()
	go func() {
		tick := time.NewTicker(globInterval)
		defer tick.Stop()
		known := make(map[string]bool)
		for {
			paths, err := filepath.Glob(job.Path)
			if err != nil {
				c.ended <- err
				return
			}
			for _, path := range paths {
				if !known[path] {
					known[path] = true
					go func() { c.ended <- c.follow(path, offsets[path]) }()
				}
			}
			<-tick.C
		}
	}()
	return <-c.ended
}

// tailConsumer stores lines of all files in one.
type tailConsumer struct {
	gate  sync.RWMutex // held while paused
	out   *os.File
	ended chan error
}

// obey ends when nobody commands any more.
func (c *tailConsumer) obey(stdin io.Reader) error {
	commands := bufio.NewScanner(stdin)
	for commands.Scan() {
		if commands.Text() == "pause" {
			c.gate.Lock()
		} else {
			c.gate.Unlock()
		}
	}
	return errors.New("the parent has gone")
}

func (c *tailConsumer) follow(path string, offset int64) error {
	if info, err := os.Stat(path); err != nil || info.Size() < offset {
		offset = 0
	}
	t, err := tail.TailFile(path, tail.Config{
		Location: &tail.SeekInfo{Offset: offset, Whence: io.SeekStart},
		Follow:   true,
		ReOpen:   true,
		Logger:   tail.DiscardingLogger,
	})
	if err != nil {
		return err
	}
	for line := range t.Lines {
		if line.Err != nil {
			return line.Err
		}
		c.gate.RLock()
		offset, err := t.Tell()
		if err == nil {
			// One write, so that a kill cannot come between line and offset.
			_, err = fmt.Fprintf(c.out, "%s\t%d\t%s\n", path, offset, line.Text)
		}
		c.gate.RUnlock()
		if err != nil {
			return err
		}
	}
	return fmt.Errorf("following %s: %w", path, t.Wait())
}

// storedLines yields what such a process has stored.
func storedLines(out string) iter.Seq2[storedLine, error] {
	return func(yield func(storedLine, error) bool) {
		f, err := os.Open(out)
		if errors.Is(err, fs.ErrNotExist) {
			return
		}
		if err != nil {
			yield(storedLine{}, err)
			return
		}
		defer f.Close()
		lines := bufio.NewReader(f)
		for {
			line, err := lines.ReadBytes('\n')
			if errors.Is(err, io.EOF) {
				return
			}
			fields := bytes.SplitN(bytes.TrimSuffix(line, []byte{'\n'}), []byte{'\t'}, 3)
			if err == nil && len(fields) != 3 {
				err = fmt.Errorf("%d fields in %.80q", len(fields), line)
			}
			if err != nil {
				yield(storedLine{}, err)
				return
			}
			offset, err := strconv.ParseInt(string(fields[1]), 10, 64)
			if !yield(storedLine{string(fields[0]), offset, fields[2]}, err) || err != nil {
				return
			}
		}
	}
}

type storedLine struct {
	path   string
	offset int64
	text   []byte
}

func lastOffsets(out string) (map[string]int64, error) {
	offsets := make(map[string]int64)
	for line, err := range storedLines(out) {
		if err != nil {
			return nil, fmt.Errorf("reading what was stored: %w", err)
		}
		offsets[line.path] = line.offset
	}
	return offsets, nil
}
