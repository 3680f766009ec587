package campaign

import (
	"flag"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/openclaw-security/bus/services/internal/daemon"
	"github.com/openclaw-security/bus/services/notifier"
)

var (
	campaignTime = flag.Duration("campaign", 0, "how long the trouble of TestCampaign lasts; 0 has every fault once")
	campaignSeed = flag.Uint64("seed", 0, "seed of TestCampaign; 0 takes a new one")
)

// The roles that the test binary can play in a process of its own.
const (
	roleNotifier = "notifier"
	roleServer   = "server"
)

// roleKey in the environment names the role, taskKey what a server is to serve.
const (
	roleKey = "CAMPAIGN_ROLE"
	taskKey = "CAMPAIGN_TASK"
)

func TestMain(m *testing.M) {
	if role := os.Getenv(roleKey); role != "" {
		os.Exit(play(role))
	}
	os.Exit(m.Run())
}

func play(role string) int {
	switch role {
	case roleServer:
		if err := playServer(os.Getenv(taskKey), os.Stdin); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return 0
	case roleNotifier:
		go func() {
			// The notifier reads no input. It ends when its parent, killed perhaps,
			// is not there any more.
			_, _ = io.Copy(io.Discard, os.Stdin)
			os.Exit(1)
		}()
		return daemon.Program[notifier.Config]{Name: "notifier", Run: notifier.Run}.Main(nil)
	default:
		fmt.Fprintf(os.Stderr, "no such role: %q\n", role)
		return 1
	}
}
