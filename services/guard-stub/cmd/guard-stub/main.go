// Command guard-stub answers the proxy's questions about prompts by rules.
package main

import (
	"os"

	guardstub "github.com/openclaw-security/bus/services/guard-stub"
	"github.com/openclaw-security/bus/services/internal/daemon"
)

func main() {
	os.Exit(daemon.Program[guardstub.Config]{
		Name:     "guard-stub",
		Synopsis: "score prompts for the proxy by a file of rules",
		Run:      guardstub.Run,
	}.Main(os.Args[1:]))
}
