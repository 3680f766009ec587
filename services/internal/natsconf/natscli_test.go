package natsconf_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/openclaw-security/bus/services/internal/natsconf"
)

func TestWriteContext(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", dir)
	c := natsconf.CLIContext{Description: "the bus", URL: "nats://127.0.0.1:4222", SeedFile: "/keys/tail.nk", InboxPrefix: "_INBOX_tail"}
	for range 2 { // the second replaces the first
		path, err := natsconf.WriteContext("openclaw", c)
		if err != nil {
			t.Fatal(err)
		}
		if want := filepath.Join(dir, "nats", "context", "openclaw.json"); path != want {
			t.Errorf("path %s, want %s", path, want)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		want := `{
  "description": "the bus",
  "url": "nats://127.0.0.1:4222",
  "nkey": "/keys/tail.nk",
  "inbox_prefix": "_INBOX_tail"
}
`
		if string(content) != want {
			t.Errorf("content %s", content)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
	}
	for _, name := range []string{"../openclaw", "a/b", ""} {
		if path, err := natsconf.WriteContext(name, c); err == nil {
			t.Errorf("name %q gave %s", name, path)
		}
	}
}
