// Command proxy passes an agent's LLM requests on to the provider, with the key
// that the agent does not have, and records each.
package main

import (
	"os"

	"github.com/openclaw-security/bus/services/internal/service"
	"github.com/openclaw-security/bus/services/proxy"
)

func main() {
	os.Exit(service.Main(proxy.Spec(), proxy.Run, os.Args[1:]))
}
