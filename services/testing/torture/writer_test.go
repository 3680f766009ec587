package torture

import (
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/openclaw-security/bus/services/testing/childproc"
)

// writer is a writer process and what it reports.
type writer struct {
	process          childproc.Process
	written, rotated progress

	mu      sync.Mutex
	windows []window
	awaits  sync.WaitGroup
}

// startWriter starts a writer process. If it fails, it cancels ctx.
func startWriter(ctx context.Context, cancel context.CancelCauseFunc, job task, x target) (*writer, error) {
	w := new(writer)
	take := func(line string) {
		var n, from, to int
		switch {
		case scans(line, "written %d", &n):
			w.written.set(n)
		case scans(line, "rotated %d", &n):
			w.rotated.set(n)
		case scans(line, "window %d %d %d", &n, &from, &to):
			w.mu.Lock()
			w.windows = append(w.windows, window{n, from, to})
			w.mu.Unlock()
		case scans(line, "await %d", &n):
			w.awaits.Go(func() {
				if err := awaitLines(ctx, x, n); err != nil {
					cancel(err)
					return
				}
				if _, err := io.WriteString(&w.process, "go\n"); err != nil {
					cancel(fmt.Errorf("answering the writer: %w", err))
				}
			})
		default:
			cancel(fmt.Errorf("the writer says %q", line))
		}
	}
	w.process = childproc.Process{Role: roleWriter, Task: job, Stdout: take}
	if err := w.process.Start(); err != nil {
		return w, err
	}
	go func() {
		if err := w.process.Wait(); err != nil {
			cancel(err)
		}
	}()
	return w, nil
}

func scans(line, format string, values ...any) bool {
	n, err := fmt.Sscanf(line, format, values...)
	return err == nil && n == len(values)
}

// wait waits until all is written.
func (w *writer) wait(ctx context.Context) error {
	select {
	case <-w.process.Ended():
		return w.process.Wait()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// end kills the writer if it still runs.
func (w *writer) end() {
	w.process.End()
	w.awaits.Wait()
}

func (w *writer) lossy() []window {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.windows
}

// progress is a number that grows and can be waited for.
type progress struct {
	mu      sync.Mutex
	n       int
	changed chan struct{}
}

func (p *progress) set(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.n = n
	if p.changed != nil {
		close(p.changed)
		p.changed = nil
	}
}

func (p *progress) value() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.n
}

// await waits until the number is at least n.
func (p *progress) await(ctx context.Context, n int) error {
	for {
		p.mu.Lock()
		if p.n >= n {
			p.mu.Unlock()
			return nil
		}
		if p.changed == nil {
			p.changed = make(chan struct{})
		}
		changed := p.changed
		p.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
