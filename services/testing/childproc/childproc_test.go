package childproc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/services/testing/childproc"
)

func TestMain(m *testing.M) {
	childproc.Main(childproc.Roles{
		"echo":   childproc.Func(echo),
		"waits":  childproc.Func(waits),
		"fails":  childproc.Func(func(context.Context) error { return errors.New("a reason") }),
		"parent": childproc.Func(parent),
	})
	os.Exit(m.Run())
}

// echo prints its task and then what it reads.
func echo(context.Context) error {
	var task []string
	if err := childproc.Task(&task); err != nil {
		return err
	}
	fmt.Println(strings.Join(task, " "), os.Getenv("SETTING"), os.Getenv("HOME"))
	_, err := io.Copy(os.Stdout, os.Stdin)
	return err
}

func waits(ctx context.Context) error {
	fmt.Println("ready")
	<-ctx.Done()
	return nil
}

// parent has a child that inherits what it has inherited itself.
func parent(ctx context.Context) error {
	child := childproc.Process{Role: "waits", Files: []*os.File{os.NewFile(childproc.FirstFile, "pipe")}}
	if err := child.Start(); err != nil {
		return err
	}
	if _, err := child.Ready(); err != nil {
		return err
	}
	return waits(ctx)
}

func ready(t *testing.T, p *childproc.Process) string {
	t.Helper()
	line, err := p.Ready()
	if err != nil {
		t.Fatal(err)
	}
	return line
}

func TestTaskEnvironmentAndInput(t *testing.T) {
	lines := make(chan string, 2)
	p := childproc.Process{Role: "echo", Task: []string{"do", "this"}, Env: []string{"SETTING=set"}, Stdout: func(line string) { lines <- line }}
	p.Run(t)
	if got := ready(t, &p); got != "do this set " {
		t.Errorf("the child knows %q", got)
	}
	if _, err := io.WriteString(&p, "a line\n"); err != nil {
		t.Fatal(err)
	}
	if first, second := <-lines, <-lines; first != "do this set " || second != "a line" {
		t.Errorf("the child says %q and %q", first, second)
	}
	if err := p.Start(); err == nil {
		t.Error("it was started twice")
	}
}

func TestKillRestartStop(t *testing.T) {
	p := childproc.Process{Role: "waits"}
	p.Run(t)
	ready(t, &p)
	first := p.PID()
	if err := p.Restart(); err != nil {
		t.Fatal(err)
	}
	ready(t, &p)
	if p.PID() == first {
		t.Error("the same process goes on")
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := p.Kill(); !errors.Is(err, childproc.ErrEnded) {
		t.Errorf("killing what has ended: %v", err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	ready(t, &p)
	if childproc.HasUsage {
		if u, err := p.Usage(); err != nil || u.PID != p.PID() || u.RSS == 0 || u.PeakRSS < u.RSS || u.FDs < 4 {
			t.Errorf("usage %+v, %v", u, err)
		}
	}
	if err := p.Stop(); err != nil || p.Kills() != 2 {
		t.Errorf("stopping: %v; %d kills", err, p.Kills())
	}
	if p.CPU() == 0 {
		t.Error("it has used no processor")
	}
}

func TestEndByItself(t *testing.T) {
	var logged []string
	p := childproc.Process{Role: "fails", Stderr: func(line string) { logged = append(logged, line) }}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Ready(); !errors.Is(err, childproc.ErrEnded) || !strings.Contains(err.Error(), "fails: a reason") {
		t.Errorf("waiting for readiness: %v", err)
	}
	if err := p.Wait(); err == nil || len(logged) != 1 {
		t.Errorf("waiting for the end: %v; logged %q", err, logged)
	}
}

func TestNoOrphan(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	p := childproc.Process{Role: "parent", Files: []*os.File{write}}
	p.Run(t)
	ready(t, &p)
	if err := errors.Join(write.Close(), p.Kill()); err != nil {
		t.Fatal(err)
	}
	// The pipe ends when no process has it any more.
	if _, err := io.ReadAll(read); err != nil {
		t.Error(err)
	}
}
