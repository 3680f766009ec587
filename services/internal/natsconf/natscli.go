package natsconf

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
)

// CLIContext is a saved connection of NATS's own command-line tool
// (github.com/nats-io/jsm.go, natscontext).
type CLIContext struct {
	Description string `json:"description"`
	URL         string `json:"url"`
	SeedFile    string `json:"nkey"`
	InboxPrefix string `json:"inbox_prefix"`
}

// WriteContext saves c under name, for `nats --context name`, and returns the
// file's path. It replaces a context of that name and does not select it.
func WriteContext(name string, c CLIContext) (string, error) {
	path, err := ContextFile(name)
	if err != nil {
		return "", err
	}
	content, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return "", fmt.Errorf("writing the context: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", fmt.Errorf("creating the context directory: %w", err)
	}
	if err := renameio.WriteFile(path, append(content, '\n'), 0o600, renameio.WithTempDir(filepath.Dir(path))); err != nil {
		return "", fmt.Errorf("writing the context: %w", err)
	}
	return path, nil
}

// ContextFile returns the path of the file that holds the context called name.
func ContextFile(name string) (string, error) {
	if filepath.Base(name) != name {
		return "", fmt.Errorf("context name %q is not a file name", name)
	}
	dir, err := configDir()
	if err != nil {
		return "", fmt.Errorf("finding the configuration directory of the nats command: %w", err)
	}
	return filepath.Join(dir, "nats", "context", name+".json"), nil
}

// configDir is where the nats command looks on every system, which is not where
// os.UserConfigDir points on all of them.
func configDir() (string, error) {
	if dir := os.Getenv("XDG_CONFIG_HOME"); dir != "" {
		return dir, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(home, ".config"), nil
}
