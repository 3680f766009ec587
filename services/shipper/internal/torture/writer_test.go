package torture

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"
)

// writer is a writer process and what it reports.
type writer struct {
	process          *process
	log              *transcript
	written, rotated progress

	mu      sync.Mutex
	windows []window
	awaits  sync.WaitGroup
}

// startWriter starts a writer process. If it fails, it cancels ctx.
func startWriter(ctx context.Context, cancel context.CancelCauseFunc, job task, x target) (*writer, error) {
	w := &writer{log: new(transcript)}
	text, err := json.Marshal(job)
	if err != nil {
		return w, err
	}
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
				if _, err := io.WriteString(w.process.stdin, "go\n"); err != nil {
					cancel(fmt.Errorf("answering the writer: %w", err))
				}
			})
		default:
			cancel(fmt.Errorf("the writer says %q", line))
		}
	}
	ready := make(chan struct{}) // w.process is set
	w.process, err = spawn(roleWriter, func(line string) { <-ready; take(line) }, w.log.writer(roleWriter), taskKey+"="+string(text))
	close(ready)
	if err != nil {
		return w, err
	}
	go func() {
		<-w.process.ended
		if !w.process.cmd.ProcessState.Success() {
			cancel(fmt.Errorf("the writer ended with %s: %s", w.process.cmd.ProcessState, w.log))
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
	case <-w.process.ended:
		if !w.process.cmd.ProcessState.Success() {
			return fmt.Errorf("the writer ended with %s: %s", w.process.cmd.ProcessState, w.log)
		}
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// end kills the writer if it still runs.
func (w *writer) end() {
	if w.process != nil {
		_ = w.process.kill() // it has ended, or it does now
	}
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
