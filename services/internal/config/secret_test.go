package config_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/services/internal/config"
)

const hush = "hush-5eef"

func TestSecretIsNeverPrinted(t *testing.T) {
	secret := config.NewSecret(hush)
	type holder struct {
		Exported config.Secret
		hidden   config.Secret
		list     []config.Secret
	}
	values := map[string]any{
		"itself":   secret,
		"pointer":  &secret,
		"struct":   holder{secret, secret, []config.Secret{secret}},
		"*struct":  &holder{secret, secret, []config.Secret{secret}},
		"map":      map[string]config.Secret{"k": secret},
		"in error": fmt.Errorf("using %v", secret),
	}
	for name, value := range values {
		t.Run(name, func(t *testing.T) {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%10.3s", "%o"} {
				check(t, verb, fmt.Sprintf(verb, value))
			}
			for _, handler := range []func(*bytes.Buffer) slog.Handler{
				func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
				func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
			} {
				var log bytes.Buffer
				slog.New(handler(&log)).Info("message", "value", value)
				check(t, "slog", log.String())
			}
			if encoded, err := json.Marshal(value); err == nil {
				check(t, "json", string(encoded))
			}
			if encoded, err := xml.Marshal(value); err == nil {
				check(t, "xml", string(encoded))
			}
		})
	}
	for _, printed := range []string{fmt.Sprint(secret), fmt.Sprintf("%#v", secret), secret.LogValue().String()} {
		if printed != "[redacted]" {
			t.Errorf("printed as %q", printed)
		}
	}
}

// check fails if printed shows the secret as text or in hexadecimal.
func check(t *testing.T, how, printed string) {
	t.Helper()
	for _, form := range []string{hush, hush[:5], fmt.Sprintf("%x", hush), fmt.Sprintf("%X", hush)} {
		if strings.Contains(printed, form) {
			t.Errorf("%s prints %q", how, printed)
		}
	}
}

func TestSecretZero(t *testing.T) {
	if s := config.NewSecret(""); !s.IsZero() || s.Reveal() != "" {
		t.Error("an empty secret is not the unset one")
	}
	if s := config.NewSecret(hush); s.IsZero() || s.Reveal() != hush {
		t.Error("a secret does not hold its value")
	}
}

func TestSecretFile(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	plain := file("plain", hush)
	missing := filepath.Join(dir, "missing")
	tests := []struct {
		name  string
		env   []string
		want  string
		fault string
	}{
		{name: "neither set"},
		{name: "both empty", env: []string{"SAMPLE_TOKEN=", "SAMPLE_TOKEN_FILE="}},
		{name: "value", env: []string{"SAMPLE_TOKEN=" + hush}, want: hush},
		{name: "file", env: []string{"SAMPLE_TOKEN_FILE=" + plain}, want: hush},
		{name: "value empty, file set", env: []string{"SAMPLE_TOKEN=", "SAMPLE_TOKEN_FILE=" + plain}, want: hush},
		{name: "newline", env: []string{"SAMPLE_TOKEN_FILE=" + file("lf", hush+"\n")}, want: hush},
		{name: "only one newline", env: []string{"SAMPLE_TOKEN_FILE=" + file("lflf", hush+"\n\n")}, want: hush + "\n"},
		{name: "carriage return", env: []string{"SAMPLE_TOKEN_FILE=" + file("crlf", hush+"\r\n")}, want: hush},
		{name: "largest", env: []string{"SAMPLE_TOKEN_FILE=" + file("largest", strings.Repeat("x", 64<<10))}, want: strings.Repeat("x", 64<<10)},
		{
			name: "both", env: []string{"SAMPLE_TOKEN=" + hush, "SAMPLE_TOKEN_FILE=" + plain},
			fault: "SAMPLE_TOKEN and SAMPLE_TOKEN_FILE are both set; set one",
		},
		{
			name: "missing", env: []string{"SAMPLE_TOKEN_FILE=" + missing},
			fault: fmt.Sprintf("reading the file named by SAMPLE_TOKEN_FILE (%q): no such file or directory", missing),
		},
		{
			name: "directory", env: []string{"SAMPLE_TOKEN_FILE=" + dir},
			fault: fmt.Sprintf("reading the file named by SAMPLE_TOKEN_FILE (%q): is a directory", dir),
		},
		{
			name: "empty", env: []string{"SAMPLE_TOKEN_FILE=" + file("empty", "\n")},
			fault: fmt.Sprintf("reading the file named by SAMPLE_TOKEN_FILE (%q): empty", filepath.Join(dir, "empty")),
		},
		{
			name: "too large", env: []string{"SAMPLE_TOKEN_FILE=/dev/zero"},
			fault: `reading the file named by SAMPLE_TOKEN_FILE ("/dev/zero"): larger than 64 KiB`,
		},
		{
			name: "the secret instead of a path", env: []string{"SAMPLE_TOKEN_FILE=" + hush},
			fault: "reading the file named by SAMPLE_TOKEN_FILE: no such file or directory",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var cfg struct {
				Token config.Secret `env:"SAMPLE_TOKEN"`
			}
			err := config.Load(&cfg, test.env)
			if test.fault != "" {
				want := "1 setting is wrong:\n  SAMPLE_TOKEN: " + test.fault
				if err == nil || err.Error() != want {
					t.Fatalf("got %v, want %v", err, want)
				}
				check(t, "error", err.Error())
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if cfg.Token.Reveal() != test.want {
				t.Errorf("got %d bytes, want %d", len(cfg.Token.Reveal()), len(test.want))
			}
		})
	}
}

func TestSecretRequired(t *testing.T) {
	var cfg struct {
		Token config.Secret `env:"SAMPLE_TOKEN, required" doc:"A token."`
	}
	err := config.Load(&cfg, []string{"SAMPLE_TOKEN="})
	if want := "1 setting is wrong:\n  SAMPLE_TOKEN: required but not set. A token."; err == nil || err.Error() != want {
		t.Errorf("got %v, want %v", err, want)
	}
}
