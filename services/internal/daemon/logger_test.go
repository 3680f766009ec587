package daemon_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/daemon"
)

func TestLogger(t *testing.T) {
	tests := []struct {
		name  string
		cfg   config.Log
		json  bool
		lines int // of one at each of the four levels
	}{
		{"zero", config.Log{}, true, 3},
		{"auto, not a terminal", config.Log{Level: "info", Format: "auto"}, true, 3},
		{"text", config.Log{Level: "debug", Format: "text"}, false, 4},
		{"json", config.Log{Level: "warn", Format: "json"}, true, 2},
		{"errors", config.Log{Level: "error", Format: "text"}, false, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "log")
			file, err := os.Create(path)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			log := daemon.Logger(file, test.cfg)
			log.Debug("message")
			log.Info("message")
			log.Warn("message")
			log.Error("message")
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(strings.TrimSpace(string(content)), "\n")
			if len(lines) != test.lines {
				t.Errorf("logged %q", lines)
			}
			if json.Valid([]byte(lines[0])) != test.json {
				t.Errorf("line %q, want JSON %t", lines[0], test.json)
			}
		})
	}
}

// TestLogDrivesNoTerminal: what is logged of foreign text is printable.
func TestLogDrivesNoTerminal(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		path := filepath.Join(t.TempDir(), format)
		file, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		const foreign = "\x1b]0;owned\x07\u009b31m\u202e\x7f"
		daemon.Logger(file, config.Log{Format: format}).Info(foreign, "name", foreign)
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		line := strings.TrimSuffix(string(content), "\n")
		if at := strings.IndexFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }); at >= 0 || !strings.Contains(line, "owned") {
			t.Errorf("%s, at %d: %q", format, at, line)
		}
		var logged struct{ Name string }
		if format == "json" && (json.Unmarshal(content, &logged) != nil || logged.Name != foreign) {
			t.Errorf("the log holds %q", logged.Name)
		}
	}
}
