package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"
)

// maxSecretBytes bounds a secret read from a file, so that a path to the wrong
// file (a device, a log) costs no memory. The largest real secrets, key chains,
// are a few KiB.
const maxSecretBytes = 64 << 10

const redacted = "[redacted]"

// A Secret is a value that must not be seen. It prints as [redacted] through
// fmt, slog, encoding/json and every other user of [encoding.TextMarshaler].
// The zero Secret is an unset one.
type Secret struct {
	// A pointer, because fmt cannot call the methods of a value in another
	// struct's unexported field and prints what it is made of: of a pointer,
	// that is the address.
	value *string
}

// NewSecret returns a Secret that holds value, or an unset one if it is empty.
func NewSecret(value string) Secret {
	if value == "" {
		return Secret{}
	}
	return Secret{&value}
}

// Reveal returns the value itself, empty if the secret is unset. Call it where
// the value is used, and keep the result out of errors and logs.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// IsZero reports whether the secret is unset.
func (s Secret) IsZero() bool { return s.value == nil }

// String implements [fmt.Stringer].
func (s Secret) String() string { return redacted }

// Format implements [fmt.Formatter] for every verb: %x and %d would otherwise
// go past String.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue implements [slog.LogValuer].
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements [encoding.TextMarshaler].
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// EnvDecode implements go-envconfig's Decoder.
func (s *Secret) EnvDecode(value string) error {
	*s = NewSecret(value)
	return nil
}

// fileKey is the name of the setting that gives the path of a secret's file.
func fileKey(key string) string { return key + "_FILE" }

// secretFromEnv returns the value of the secret key, from the variable itself
// or from the file that KEY_FILE names, and whether there is one.
func secretFromEnv(env map[string]string, key string) (string, bool, error) {
	value, path := env[key], env[fileKey(key)]
	switch {
	case path == "":
		return value, value != "", nil
	case value != "":
		return "", false, fmt.Errorf("%s and %s are both set; set one", key, fileKey(key))
	}
	value, err := readSecret(path)
	if err != nil {
		return "", false, fmt.Errorf("reading the file named by %s%s: %w", fileKey(key), shownPath(path), err)
	}
	return value, true, nil
}

// readSecret reads a secret without the one line ending that editors and echo
// put after it. Its errors do not name the path.
func readSecret(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", withoutPath(err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxSecretBytes+1))
	if err != nil {
		return "", withoutPath(err)
	}
	if len(content) > maxSecretBytes {
		return "", fmt.Errorf("larger than %d KiB", maxSecretBytes>>10)
	}
	value, ended := strings.CutSuffix(string(content), "\n")
	if ended {
		value = strings.TrimSuffix(value, "\r")
	}
	if value == "" {
		return "", errors.New("empty")
	}
	return value, nil
}

func withoutPath(err error) error {
	if pathErr := new(fs.PathError); errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}

// shownPath returns " (path)" for what is plainly a path. Anything else may be
// the secret itself, put into KEY_FILE by mistake.
func shownPath(path string) string {
	if strings.HasPrefix(path, "/") || strings.HasPrefix(path, "./") || strings.HasPrefix(path, "../") {
		return fmt.Sprintf(" (%.200q)", path)
	}
	return ""
}
