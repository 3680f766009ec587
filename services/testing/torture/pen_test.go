package torture

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/openclaw-security/bus/services/testing/childproc"
)

// task is what a writer process is to write.
type task struct {
	Mode   string
	Dir    string
	Lines  int // of each writer
	Script script
	// Rate is how many lines each writer writes in a second.
	Rate int
	// Segment is how many lines there are between two rotations, on average.
	Segment int
	// Keep is how many rotated files a chain has at most.
	Keep int
}

// A writer process reports on its standard output, a line each:
//
//	written N          all its writers have written N lines in sum
//	rotated N          it has rotated N times in sum
//	window W FROM TO   writer W has written lines FROM up to, not including, TO
//	                   where no reader can be sure to see them
//	await N            it goes on once N lines are stored and "go" comes back
type reporter struct {
	mu               sync.Mutex
	out              io.Writer
	answers          *bufio.Scanner
	written, rotated int
}

func (r *reporter) wrote(n int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.written += n
	_, err := fmt.Fprintf(r.out, "written %d\n", r.written)
	return err
}

func (r *reporter) rotate() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rotated++
	_, err := fmt.Fprintf(r.out, "rotated %d\n", r.rotated)
	return err
}

func (r *reporter) window(writer, from, to int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, err := fmt.Fprintf(r.out, "window %d %d %d\n", writer, from, to)
	return err
}

func (r *reporter) await(n int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := fmt.Fprintf(r.out, "await %d\n", n); err != nil {
		return err
	}
	if !r.answers.Scan() {
		return errors.New("nobody answers")
	}
	return nil
}

// playWriter is what a writer process does.
func playWriter(context.Context) error {
	var job task
	if err := childproc.Task(&job); err != nil {
		return err
	}
	m, err := modeNamed(job.Mode)
	if err != nil {
		return err
	}
	report := &reporter{out: os.Stdout, answers: bufio.NewScanner(os.Stdin)}
	introduced := sync.OnceValue(func() error { return report.await(m.writers) })
	ended := make(chan error, m.writers)
	for id := range m.writers {
		p := &pen{
			task:       job,
			id:         id,
			path:       filepath.Join(job.Dir, strings.Replace(m.path, "*", fmt.Sprint(id+1), 1)),
			random:     rand.New(rand.NewPCG(job.Script.Seed, uint64(id)+1)),
			report:     report,
			introduced: introduced,
		}
		go func() { ended <- p.run(m.write) }()
	}
	var errs []error
	for range m.writers {
		errs = append(errs, <-ended)
	}
	return errors.Join(errs...)
}

// tickTime is between two bursts of lines.
const tickTime = 5 * time.Millisecond

// maxPiece is the most bytes written at once, maxHeld the most that stay behind
// in the writer's buffer: lines are split anywhere.
const (
	maxPiece = 8 << 10
	maxHeld  = 2 << 10
)

// pen is one writer with one file.
type pen struct {
	task
	id     int
	path   string // what the sensor is configured to write
	random *rand.Rand
	report *reporter
	ticks  <-chan time.Time
	// introduced waits until the first line of every writer is stored.
	introduced func() error

	file     *os.File
	pending  []byte
	next     int // sequence number of the next line
	begun    int // of the first line of the current file
	rotation int
}

func (p *pen) run(write func(*pen) error) error {
	ticker := time.NewTicker(tickTime)
	defer ticker.Stop()
	p.ticks = ticker.C
	if err := write(p); err != nil {
		return fmt.Errorf("writer %d at line %d: %w", p.id, p.next, err)
	}
	return nil
}

// open makes path the file that is written.
func (p *pen) open(path string, flags int) error {
	if p.file != nil {
		if err := p.file.Close(); err != nil {
			return err
		}
	}
	var err error
	p.file, err = os.OpenFile(path, os.O_CREATE|os.O_WRONLY|flags, 0o644)
	p.begun = p.next
	return err
}

// write writes n more lines, or as many as are left.
func (p *pen) write(n int) error {
	n = min(n, p.Lines-p.next)
	if p.next == 0 {
		if err := p.introduce(); err != nil {
			return err
		}
		n--
	}
	burst := max(1, p.Rate*int(tickTime)/int(time.Second))
	for n > 0 {
		<-p.ticks
		k := min(n, burst)
		for range k {
			p.pending = append(p.Script.append(p.pending, lineID{p.id, p.next}), '\n')
			p.next++
		}
		n -= k
		if err := p.put(p.random.IntN(maxHeld)); err != nil {
			return err
		}
		if err := p.report.wrote(k); err != nil {
			return err
		}
	}
	return nil
}

// introduce writes the first line and waits until it is stored. A source of
// which nothing is stored is new, and what was rotated before somebody looked is
// not its own.
func (p *pen) introduce() error {
	p.pending = append(p.Script.append(p.pending, lineID{p.id, p.next}), '\n')
	p.next++
	if err := p.flush(); err != nil {
		return err
	}
	if err := p.report.wrote(1); err != nil {
		return err
	}
	return p.introduced()
}

// flush writes what is held back: the file ends with a line's end.
func (p *pen) flush() error { return p.put(0) }

func (p *pen) put(hold int) error {
	rest := p.pending
	for len(rest) > hold {
		n := min(len(rest), 1+p.random.IntN(maxPiece))
		if _, err := p.file.Write(rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
	p.pending = append(p.pending[:0], rest...)
	return nil
}

// segment is how many lines to write before the next rotation.
func (p *pen) segment() int { return p.Segment/2 + p.random.IntN(p.Segment) }

func (p *pen) done() bool { return p.next == p.Lines }
