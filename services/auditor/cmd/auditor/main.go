// Command auditor keeps the log of LLM requests.
package main

import (
	"os"

	"github.com/openclaw-security/bus/services/auditor"
	"github.com/openclaw-security/bus/services/internal/service"
)

func main() {
	os.Exit(service.Main(auditor.Spec(), auditor.Run, os.Args[1:]))
}
