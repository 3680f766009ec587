package childproc

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// Roles are what a binary can be in a process of its own, by name. A role
// returns the process's exit code.
type Roles map[string]func() int

// The environment of a child names its role and holds its task.
const (
	roleKey = "CHILDPROC_ROLE"
	taskKey = "CHILDPROC_TASK"
)

// Descriptors of a child. The lifeline is a pipe that nobody writes to: it ends
// when the parent does, however that happens, and the child then ends, too.
const (
	lifeline = 3
	// FirstFile is the descriptor of the first of [Process]'s Files.
	FirstFile = 4
)

// Main belongs at the beginning of TestMain or main. In a child it plays the
// role and does not return.
func Main(roles Roles) {
	name := os.Getenv(roleKey)
	if name == "" {
		return
	}
	play, found := roles[name]
	if !found {
		fmt.Fprintf(os.Stderr, "no such role: %q\n", name)
		os.Exit(1)
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.NewFile(lifeline, "lifeline"))
		os.Exit(1)
	}()
	os.Exit(play())
}

// Func makes a role of a function. Its context ends when the process is
// interrupted or terminated.
func Func(run func(ctx context.Context) error) func() int {
	return func() int {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		if err := run(ctx); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return 0
	}
}

// Task reads, in a child, what the parent has put into [Process]'s Task.
func Task(into any) error {
	if err := json.Unmarshal([]byte(os.Getenv(taskKey)), into); err != nil {
		return fmt.Errorf("reading the task: %w", err)
	}
	return nil
}
