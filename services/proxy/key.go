package proxy

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// hmacKeyBytes is the length of the key of prompts' hashes.
const hmacKeyBytes = 32

// loadHMACKey reads the key with which prompts are hashed, and makes one where
// there is none. With another key equal prompts have other hashes.
func loadHMACKey(dir string) ([]byte, error) {
	path := filepath.Join(dir, "prompt-hmac.key")
	key, err := os.ReadFile(path)
	switch {
	case err == nil && len(key) == hmacKeyBytes:
		return key, nil
	case err == nil:
		return nil, fmt.Errorf("reading %s: it is not %d bytes long; remove it to have another made", path, hmacKeyBytes)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("reading the key of prompts' hashes: %w", err)
	}
	key = make([]byte, hmacKeyBytes)
	rand.Read(key) // never fails: crypto/rand aborts the program instead
	// Complete before it has its name: half a key would be refused for ever.
	partial := path + ".new"
	if err := os.WriteFile(partial, key, 0o600); err != nil {
		return nil, fmt.Errorf("writing the key of prompts' hashes: %w", err)
	}
	if err := os.Rename(partial, path); err != nil {
		return nil, fmt.Errorf("writing the key of prompts' hashes: %w", err)
	}
	return key, nil
}
