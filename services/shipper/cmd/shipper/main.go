// Command shipper publishes one sensor's log to the bus.
package main

import (
	"os"

	"github.com/openclaw-security/bus/services/internal/daemon"
	"github.com/openclaw-security/bus/services/shipper"
)

func main() {
	os.Exit(daemon.Program[shipper.Config]{
		Name:     "shipper",
		Synopsis: "publish one sensor's log to the bus",
		Run:      shipper.Run,
	}.Main(os.Args[1:]))
}
