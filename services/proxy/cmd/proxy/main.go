// Command proxy passes an agent's LLM requests on to the provider, with the key
// that the agent does not have, and records each.
package main

import (
	"os"

	"github.com/openclaw-security/bus/services/internal/daemon"
	"github.com/openclaw-security/bus/services/proxy"
)

func main() {
	os.Exit(daemon.Program[proxy.Config]{
		Name:     "proxy",
		Synopsis: "forward LLM requests, guard them and record each",
		Run:      proxy.Run,
	}.Main(os.Args[1:]))
}
