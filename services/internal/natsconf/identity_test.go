package natsconf_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/openclaw-security/bus/services/internal/natsconf"
)

func TestLoadOrCreate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	first, err := natsconf.LoadOrCreate(dir, []string{"one", "two"})
	if err != nil {
		t.Fatal(err)
	}
	second, err := natsconf.LoadOrCreate(dir, []string{"one", "two", "three"})
	if err != nil {
		t.Fatal(err)
	}
	keys := second.PublicKeys()
	if len(keys) != 3 || keys["one"] != first.PublicKeys()["one"] || keys["two"] != first.PublicKeys()["two"] || keys["one"] == keys["two"] {
		t.Errorf("keys %v, then %v", first.PublicKeys(), keys)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, e.Name()+" "+info.Mode().String())
	}
	if want := []string{"one.nk -rw-------", "three.nk -rw-------", "two.nk -rw-------"}; !slices.Equal(names, want) {
		t.Errorf("files %q, want %q", names, want)
	}
	key, err := natsconf.LoadSeed(second.SeedFile("three"))
	if err != nil {
		t.Fatal(err)
	}
	if public, err := key.PublicKey(); err != nil || public != keys["three"] {
		t.Errorf("public key %s, %v", public, err)
	}
}

func TestLoadOrCreateAtOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	roles := []string{"one", "two", "three"}
	results := make([]map[string]string, 8)
	var group sync.WaitGroup
	for i := range results {
		group.Go(func() {
			ids, err := natsconf.LoadOrCreate(dir, roles)
			if err != nil {
				t.Error(err)
				return
			}
			results[i] = ids.PublicKeys()
		})
	}
	group.Wait()
	for _, keys := range results {
		if !maps.Equal(keys, results[0]) {
			t.Errorf("%v and %v", keys, results[0])
		}
	}
}

func TestSeedFilesAreKeptPrivate(t *testing.T) {
	const secret = "SUAM-not-a-seed-but-secret"
	for name, test := range map[string]struct {
		spoil func(dir, file string) error
		want  string
	}{
		"open directory":    {func(dir, _ string) error { return os.Chmod(dir, 0o750) }, "mode 0750"},
		"file for a group":  {func(_, file string) error { return os.Chmod(file, 0o640) }, "mode 0640"},
		"file for everyone": {func(_, file string) error { return os.Chmod(file, 0o604) }, "mode 0604"},
		"another content":   {func(_, file string) error { return os.WriteFile(file, []byte(secret), 0o600) }, "does not hold the seed"},
		"empty":             {func(_, file string) error { return os.Truncate(file, 0) }, "does not hold the seed"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "keys")
			ids, err := natsconf.LoadOrCreate(dir, []string{"one"})
			if err != nil {
				t.Fatal(err)
			}
			if err := test.spoil(dir, ids.SeedFile("one")); err != nil {
				t.Fatal(err)
			}
			_, err = natsconf.LoadOrCreate(dir, []string{"one"})
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), secret) {
				t.Errorf("got %v, want %q in it", err, test.want)
			}
		})
	}
}
