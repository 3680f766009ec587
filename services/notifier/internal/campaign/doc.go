// Package campaign holds the test that tries to make the notifier lose an alert,
// send one twice without saying so, or send too fast, with real processes that
// are really killed. It has no code but tests.
//
//	source ──▶ NATS server process ──▶ notifier process ──▶ gate ──▶ stand-in for Telegram
//	   │          SIGKILL                 SIGKILL            │         fails in every way
//	   │            │                                        │              │
//	   └─ ids ──▶ judge ◀── alerts, ledger, dead letters     └─ arrivals ───┴─ messages
//
// Every process is the test binary in another role, so nothing is built twice. The
// gate stands before the stand-in and kills at a step of a chosen request: when it
// has arrived, when its outcome is decided, when it has been answered. The rest is
// killed at random moments.
//
//	go test ./services/notifier/internal/campaign                          every fault once; not with -short
//	go test -run TestCampaign -campaign 10m -timeout 20m ...               for longer, all at random
//	go test -run TestCampaign -seed 7 ...                                  the same choices again
//
// A seed decides what is published, which faults there are and when a kill is
// due, but not how the kernel schedules the processes.
package campaign
