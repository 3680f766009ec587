// Command notifier delivers alerts from the bus to their owner.
package main

import (
	"os"

	"github.com/openclaw-security/bus/services/internal/daemon"
	"github.com/openclaw-security/bus/services/notifier"
)

func main() {
	os.Exit(daemon.Program[notifier.Config]{
		Name:     "notifier",
		Synopsis: "deliver alerts from the bus to their owner",
		Run:      notifier.Run,
	}.Main(os.Args[1:]))
}
