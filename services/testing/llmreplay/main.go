// Command llmreplay replays recorded interactions with model providers through the
// LLM proxy and compares what comes of them with what is right: the bytes that the
// client gets, the bytes that the provider gets, and the record.
//
//	go run ./services/testing/llmreplay [flags] [folder]
//
// Without a folder it replays the project's own recordings, or those of the folder
// that TEST_RECORDINGS names. Each interaction is replayed in several framings of
// the answer: an event at a time, in random pieces, and compressed. The exit code
// is 1 if anything differs. docs/llm-recordings.md describes the format.
package main

import (
	"context"
	"embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/openclaw-security/bus/services/testing/bustest"
	"github.com/openclaw-security/bus/services/testing/childproc"
)

// own are the project's recordings.
//
//go:embed testdata/*.jsonl
var own embed.FS

// folderKey names the folder whose recordings are replayed in place of the project's.
const folderKey = "TEST_RECORDINGS"

// errDiffers is why the program fails if it has worked.
var errDiffers = errors.New("not everything is as it should be")

func main() {
	childproc.Main(childproc.Roles{bustest.ServerRole: bustest.Serve})
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "llmreplay:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	flags := flag.NewFlagSet("llmreplay", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.Usage = func() {
		fmt.Fprintf(out, "llmreplay [flags] [folder]\n\nReplays the recordings in a folder's .jsonl files, the project's own if none is named here or by %s.\nTheir format is described in docs/llm-recordings.md.\n\n", folderKey)
		flags.PrintDefaults()
	}
	all := flags.Bool("all", false, "show every difference, not the first of each kind")
	only := flags.String("only", "", "replay only the interactions whose names match this regular expression")
	framed := flags.String("framings", "events,pieces,gzip", "the framings, separated by commas")
	seed := flags.Uint64("seed", rand.Uint64(), "repeats a run's random choices")
	guarded := flags.Bool("guard", false, "have the shipped guard asked about every request and call")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 1 {
		return fmt.Errorf("one folder, not %d", flags.NArg())
	}
	recordings, err := choose(flags.Arg(0), *only)
	if err != nil {
		return err
	}
	r := &replayer{seed: *seed}
	for name := range strings.SplitSeq(*framed, ",") {
		f := framing(strings.TrimSpace(name))
		if !slices.Contains(allFramings, f) {
			return fmt.Errorf("%q is no framing; there are %v", f, allFramings)
		}
		r.framings = append(r.framings, f)
	}
	if *guarded {
		r.environ = []string{"GUARD_ENABLED=true"}
	}
	if r.dir, err = os.MkdirTemp("", "llmreplay-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(r.dir)) }()
	fmt.Fprintf(out, "%d interactions, -seed %d\n", len(recordings), r.seed)
	attempts, err := r.run(ctx, recordings)
	if err != nil {
		return err
	}
	summarize(out, attempts, *all)
	if slices.ContainsFunc(attempts, func(a *attempt) bool { return len(a.differences) > 0 }) {
		return errDiffers
	}
	return nil
}

// choose loads the recordings of a folder, or those that are replayed without one, whose
// names match a pattern.
func choose(folder, only string) ([]recording, error) {
	var tree fs.FS = own
	if folder == "" {
		folder = os.Getenv(folderKey)
	}
	if folder != "" {
		tree = os.DirFS(folder)
	}
	pattern, err := regexp.Compile(only)
	if err != nil {
		return nil, err
	}
	recordings, err := load(tree)
	if err != nil {
		return nil, err
	}
	recordings = slices.DeleteFunc(recordings, func(r recording) bool { return !pattern.MatchString(r.Name) })
	if len(recordings) == 0 {
		return nil, fmt.Errorf("no name of a recording matches %q", only)
	}
	return recordings, nil
}
