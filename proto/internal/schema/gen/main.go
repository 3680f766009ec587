// Command gen writes the protocol's JSON Schemas into the directory schema.
// It runs in the directory of package proto, under go generate.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/openclaw-security/bus/proto/internal/schema"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run() error {
	files, err := schema.Files(".")
	if err != nil {
		return err
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join("schema", name), content, 0o644); err != nil {
			return fmt.Errorf("writing a schema: %w", err)
		}
	}
	return nil
}
