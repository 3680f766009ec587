// Command shipper publishes one sensor's log to the bus.
package main

import (
	"os"
	"runtime/debug"

	"github.com/openclaw-security/bus/services/internal/service"
	"github.com/openclaw-security/bus/services/shipper"
)

func main() {
	// The shipper is to stay small beside the sensor that it serves: collecting
	// twice as often halves what the heap grows to while a backlog is drained.
	debug.SetGCPercent(50)
	os.Exit(service.Main(shipper.Spec(), shipper.Run, os.Args[1:]))
}
