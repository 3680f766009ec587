// Package campaign holds the test that tries to make the notifier lose an alert,
// send one twice without saying so, or send too fast, with real processes that
// are really killed. It has no code but tests.
//
//	sources ─▶ NATS server process ──▶ notifier process ──▶ gate ──▶ stand-in for Telegram
//	   │          SIGKILL                 SIGKILL            │         fails in every way
//	   │            │                                        │              │
//	   └─ ids ──▶ judge ◀── alerts, ledger, dead letters     └─ arrivals ───┴─ messages
//
// Every process is the test binary in another role, so nothing is built twice. The
// gate stands before the stand-in and kills at a step of a chosen request: when it
// has arrived, when its outcome is decided, when it has been answered. The rest is
// killed at random moments.
//
//	go test ./services/testing/campaign                          every fault once; not with -short
//	TEST_DURATION=10m go test -run TestCampaign -timeout 20m ... for longer, all at random
//	TEST_SEED=7 go test -run TestCampaign ...                    the same choices again
//
// A seed decides what is published, which faults there are and when a kill is
// due, but not how the kernel schedules the processes.
package campaign

import (
	"os"
	"testing"

	"github.com/openclaw-security/bus/services/internal/daemon"
	"github.com/openclaw-security/bus/services/notifier"
	"github.com/openclaw-security/bus/services/testing/bustest"
	"github.com/openclaw-security/bus/services/testing/childproc"
)

// host is the host of all alerts.
const host = bustest.Host

const roleNotifier = "notifier" // of the test binary, in a process of its own

func TestMain(m *testing.M) {
	childproc.Main(childproc.Roles{
		roleNotifier: func() int {
			return daemon.Program[notifier.Config]{Name: "notifier", Run: notifier.Run}.Main(nil)
		},
		bustest.ServerRole: bustest.Serve,
	})
	os.Exit(m.Run())
}
