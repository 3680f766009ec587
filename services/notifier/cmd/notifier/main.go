// Command notifier delivers alerts from the bus to their owner.
package main

import (
	"os"

	"github.com/openclaw-security/bus/services/internal/service"
	"github.com/openclaw-security/bus/services/notifier"
)

func main() {
	os.Exit(service.Main(notifier.Spec(), notifier.Run, os.Args[1:]))
}
