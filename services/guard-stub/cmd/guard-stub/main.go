// Command guard-stub answers the proxy's questions about prompts by rules.
package main

import (
	"os"

	guardstub "github.com/openclaw-security/bus/services/guard-stub"
	"github.com/openclaw-security/bus/services/internal/service"
)

func main() {
	os.Exit(service.Main(guardstub.Spec(), guardstub.Run, os.Args[1:]))
}
