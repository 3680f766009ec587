package natsconf

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
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
	if filepath.Base(name) != name {
		return "", fmt.Errorf("context name %q is not a file name", name)
	}
	dir, err := configDir()
	if err != nil {
		return "", fmt.Errorf("finding the configuration directory of the nats command: %w", err)
	}
	dir = filepath.Join(dir, "nats", "context")
	content, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return "", fmt.Errorf("writing the context: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("creating the context directory: %w", err)
	}
	path := filepath.Join(dir, name+".json")
	if err := replace(path, append(content, '\n')); err != nil {
		return "", fmt.Errorf("writing the context: %w", err)
	}
	return path, nil
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

// replace writes a file that only its owner can read, whole or not at all.
func replace(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(content)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
