package daemon

import (
	"fmt"
	"io"

	"github.com/openclaw-security/bus/services/internal/config"
)

// writeUsage explains a program and every setting that it reads.
func writeUsage(w io.Writer, name, synopsis string, keys []config.Key) {
	fmt.Fprintf(w, "%s: %s\n\nUsage:\n  %s [--help | --version | --health]\n\n--health asks the running process, by ADMIN_ADDR, whether it can do its work.\n\nSettings, from the environment:\n", name, synopsis, name)
	for _, key := range keys {
		fmt.Fprintf(w, "\n  %s (%s)\n      %s\n", key.Name, describe(key), key.Doc)
	}
}

func describe(key config.Key) string {
	switch {
	case key.Secret && key.Required:
		return "secret, required, or " + key.Name + "_FILE"
	case key.Secret:
		return "secret, or " + key.Name + "_FILE"
	case key.Required:
		return key.Type + ", required"
	case key.Default != "":
		return key.Type + ", default " + key.Default
	default:
		return key.Type
	}
}
