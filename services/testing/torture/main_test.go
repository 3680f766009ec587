// Package torture holds the tests that try to make the shipper lose, double or
// swap lines, with real processes that are really killed. It has no code but
// tests.
//
//	writer process ──▶ files ──▶ shipper process ──▶ NATS server process
//	 writes, rotates,             SIGKILL              SIGKILL, sync always,
//	 truncates, deletes           at random            one directory and port
//	        │                                                  │
//	        └── numbered lines ──▶ judge ◀── all that is stored┘
//
// Every process is the test binary in another role, so nothing is built twice.
// The seed of a run is printed; TEST_SEED repeats it. What a seed decides is
// where lines are split, when files are rotated and at how many lines written
// or stored a process is killed, but not how the kernel schedules them.
//
//	go test ./services/testing/torture                   all, briefly
//	TEST_DURATION=10m go test -run TestTorture -timeout 30m ...   for longer
//	TEST_DURATION=1h go test -run TestSoak -timeout 90m ...       one long life
//	TEST_BASELINE=1 go test -run TestBaseline -v ...              with hpcloud/tail
//
// Some bytes no reader can know of, and the modes of this package say so: lines
// written between a copy and its truncation, and what a file held that was
// deleted while nobody had it open. There the tests ask for no loss but of such
// lines.
package torture

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/openclaw-security/bus/services/internal/daemon"
	"github.com/openclaw-security/bus/services/shipper"
	"github.com/openclaw-security/bus/services/testing/bustest"
	"github.com/openclaw-security/bus/services/testing/childproc"
)

// The roles that the test binary can play in a process of its own.
const (
	roleWriter  = "writer"
	roleShipper = "shipper"
	roleTail    = "tail" // hpcloud/tail
)

func TestMain(m *testing.M) {
	childproc.Main(childproc.Roles{
		roleWriter: childproc.Func(playWriter),
		roleTail:   childproc.Func(playTail),
		roleShipper: func() int {
			return daemon.Program[shipper.Config]{Name: "shipper", Run: shipper.Run}.Main(nil)
		},
		bustest.ServerRole: bustest.Serve,
	})
	flag.Parse()
	if parallel := flag.Lookup("test.parallel"); parallel.Value.String() == parallel.DefValue {
		// A run mostly waits: for its writer, for reconnects, for quiet.
		if err := parallel.Value.Set("6"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}
