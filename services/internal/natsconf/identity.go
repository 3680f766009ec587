package natsconf

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/nats-io/nkeys"
)

// Identities are the nkeys of a bus's roles, one seed file each.
type Identities struct {
	dir  string
	keys map[string]string
}

// LoadOrCreate reads the seed of each role from dir, and first makes those that
// are missing. It refuses a directory and files that others than the owner can
// read. Several processes may do this at once.
func LoadOrCreate(dir string, roles []string) (*Identities, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("creating the directory of the keys: %w", err)
	}
	if err := private(os.Lstat(dir)); err != nil {
		return nil, fmt.Errorf("checking the directory of the keys %s: %w", dir, err)
	}
	ids := &Identities{dir: dir, keys: make(map[string]string)}
	for _, role := range roles {
		key, err := LoadSeed(ids.SeedFile(role))
		if errors.Is(err, fs.ErrNotExist) {
			err = createSeed(dir, ids.SeedFile(role))
			if err == nil {
				key, err = LoadSeed(ids.SeedFile(role))
			}
		}
		if err != nil {
			return nil, fmt.Errorf("key of role %s: %w", role, err)
		}
		if ids.keys[role], err = key.PublicKey(); err != nil {
			return nil, fmt.Errorf("public key of role %s: %w", role, err)
		}
		key.Wipe()
	}
	return ids, nil
}

// PublicKeys returns the public keys by role.
func (i *Identities) PublicKeys() map[string]string { return i.keys }

// SeedFile is the path of a role's seed file.
func (i *Identities) SeedFile(role string) string { return filepath.Join(i.dir, role+".nk") }

// maxSeedFile bounds the file that a seed of 58 characters is read from.
const maxSeedFile = 1024

// LoadSeed reads a user's key pair from a seed file that only its owner can
// read. No error contains any of its content.
func LoadSeed(path string) (nkeys.KeyPair, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening the seed file: %w", err)
	}
	defer f.Close()
	if err := private(f.Stat()); err != nil {
		return nil, fmt.Errorf("checking the seed file %s: %w", path, err)
	}
	content, err := io.ReadAll(io.LimitReader(f, maxSeedFile))
	if err != nil {
		return nil, fmt.Errorf("reading the seed file: %w", err)
	}
	defer clear(content)
	key, err := nkeys.ParseDecoratedUserNKey(content)
	if err != nil {
		return nil, fmt.Errorf("seed file %s does not hold the seed of an nkey user", path)
	}
	return key, nil
}

// createSeed puts a new seed at path, whole or not at all. If another process
// was faster, its seed stays.
func createSeed(dir, path string) error {
	key, err := nkeys.CreateUser()
	if err != nil {
		return fmt.Errorf("making a key: %w", err)
	}
	defer key.Wipe()
	seed, err := key.Seed()
	if err != nil {
		return fmt.Errorf("making a seed: %w", err)
	}
	defer clear(seed)
	f, err := os.CreateTemp(dir, ".new-*") // mode 0600
	if err != nil {
		return fmt.Errorf("creating the seed file: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(append(seed, '\n'))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("writing the seed file: %w", err)
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("putting the seed file in place: %w", err)
	}
	return nil
}

// private checks that nobody but the owner has any right to a file.
func private(info fs.FileInfo, err error) error {
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() && !info.IsDir() {
		return errors.New("neither a file nor a directory")
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("mode %04o lets others in: it must be the owner's alone (chmod go-rwx)", mode)
	}
	return nil
}
