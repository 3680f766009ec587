// Command auditor keeps the log of LLM requests.
package main

import (
	"os"

	"github.com/openclaw-security/bus/services/auditor"
	"github.com/openclaw-security/bus/services/internal/daemon"
)

func main() {
	os.Exit(daemon.Program[auditor.Config]{
		Name:     "auditor",
		Synopsis: "keep a log of LLM requests that proves itself",
		Run:      auditor.Run,
	}.Main(os.Args[1:]))
}
