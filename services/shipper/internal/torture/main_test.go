package torture

import (
	"flag"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/openclaw-security/bus/services/internal/daemon"
	"github.com/openclaw-security/bus/services/shipper"
)

// The roles that the test binary can play in a process of its own.
const (
	roleWriter  = "writer"
	roleShipper = "shipper"
	roleServer  = "server"
	roleTail    = "tail" // hpcloud/tail
)

// roleKey in the environment names the role, taskKey what to do in it.
const (
	roleKey = "TORTURE_ROLE"
	taskKey = "TORTURE_TASK"
)

func TestMain(m *testing.M) {
	if role := os.Getenv(roleKey); role != "" {
		os.Exit(play(role))
	}
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

func play(role string) int {
	var err error
	switch role {
	case roleWriter:
		err = playWriter(os.Getenv(taskKey), os.Stdin, os.Stdout)
	case roleServer:
		err = playServer(os.Getenv(taskKey), os.Stdin, os.Stdout)
	case roleTail:
		err = playTail(os.Getenv(taskKey), os.Stdin)
	case roleShipper:
		go func() {
			// The shipper reads no input. It ends when its parent, killed perhaps,
			// is not there any more.
			_, _ = io.Copy(io.Discard, os.Stdin)
			os.Exit(1)
		}()
		return daemon.Program[shipper.Config]{Name: "shipper", Run: shipper.Run}.Main(nil)
	default:
		err = fmt.Errorf("no such role: %q", role)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", role, err)
		return 1
	}
	return 0
}
