package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
)

// dataFlags choose the data directory of an embedded bus.
type dataFlags struct {
	Data string `env:"SECBUS_DATA" placeholder:"DIR" help:"Data directory of the embedded bus (default: ${default_data})."`
}

// dir is the data directory as an absolute path.
func (f dataFlags) dir() (string, error) {
	dir := f.Data
	if dir == "" {
		dir = defaultDataDir()
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("finding the data directory: %w", err)
	}
	return abs, nil
}

// defaultDataDir is under the user's state directory
// (https://specifications.freedesktop.org/basedir-spec).
func defaultDataDir() string {
	state := os.Getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(state) {
		home, err := os.UserHomeDir()
		if err != nil {
			return "openclaw-security"
		}
		state = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(state, "openclaw-security")
}

// Places in a data directory.
func keysDir(data string) string  { return filepath.Join(data, "keys") }
func storeDir(data string) string { return filepath.Join(data, "nats") }

// endpoint is what a running embedded bus tells the other commands.
type endpoint struct {
	URL string `json:"url"`
	PID int    `json:"pid"`
}

func endpointFile(data string) string { return filepath.Join(data, "endpoint.json") }

// writeEndpoint records where the bus listens and returns how to take it back.
func writeEndpoint(data string, e endpoint) (remove func(), err error) {
	text, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	name := endpointFile(data)
	if err := renameio.WriteFile(name, append(text, '\n'), 0o600, renameio.WithTempDir(data)); err != nil {
		return nil, fmt.Errorf("recording where the bus listens: %w", err)
	}
	return func() { os.Remove(name) }, nil
}

// errNotRunning reports that there is no embedded bus at work on a directory.
var errNotRunning = errors.New("no bus is running")

func readEndpoint(data string) (endpoint, error) {
	text, err := os.ReadFile(endpointFile(data))
	if errors.Is(err, fs.ErrNotExist) {
		return endpoint{}, fmt.Errorf("%w on the data directory %s: start one with `secbus up`, name another directory with --data, or name a server with --server", errNotRunning, data)
	}
	if err != nil {
		return endpoint{}, fmt.Errorf("reading where the bus listens: %w", err)
	}
	var e endpoint
	if err := json.Unmarshal(text, &e); err != nil {
		return endpoint{}, fmt.Errorf("reading where the bus listens from %s: %w", endpointFile(data), err)
	}
	return e, nil
}
