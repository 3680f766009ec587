// Command shipper publishes one sensor's log to the bus.
package main

import (
	"os"
	"runtime/debug"

	"github.com/openclaw-security/bus/services/internal/daemon"
	"github.com/openclaw-security/bus/services/shipper"
)

func main() {
	// The shipper is to stay small beside the sensor that it serves: collecting
	// twice as often halves what the heap grows to while a backlog is drained.
	debug.SetGCPercent(50)
	os.Exit(daemon.Program[shipper.Config]{
		Name:     "shipper",
		Synopsis: "publish one sensor's log to the bus",
		Run:      shipper.Run,
	}.Main(os.Args[1:]))
}
