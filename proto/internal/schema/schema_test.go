package schema

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// TestFilesAreCurrent fails when a type or a doc comment has changed and
// "go generate ./proto" has not been run since.
func TestFilesAreCurrent(t *testing.T) {
	t.Parallel()
	const directory = "../.."
	files, err := Files(directory)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(directory, "schema", name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("schema/%s is stale: run go generate ./proto", name)
		}
	}
	committed, err := os.ReadDir(filepath.Join(directory, "schema"))
	if err != nil {
		t.Fatal(err)
	}
	if len(committed) != len(files) {
		t.Errorf("schema holds %d files, %d are generated", len(committed), len(files))
	}
}

func TestFilesErrors(t *testing.T) {
	t.Parallel()
	broken := t.TempDir()
	if err := os.WriteFile(filepath.Join(broken, "a.go"), []byte("package proto\nfunc"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Files(broken); err == nil || !strings.Contains(err.Error(), "parsing Go source") {
		t.Errorf("Files of broken source = %v, want an error from parsing", err)
	}
	if _, err := Files(filepath.Join(broken, "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Files of a missing directory = %v, want fs.ErrNotExist", err)
	}
}

// TestUnsupportedTypes: what cannot be described must stop the generator rather
// than come out as a schema that accepts anything.
func TestUnsupportedTypes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		record reflect.Type
		want   string
	}{
		{"map", reflect.TypeFor[struct {
			M map[string]int `json:"m"`
		}](), "M: no schema for the type map[string]int"},
		{"nested", reflect.TypeFor[struct {
			S []struct {
				F func() `json:"f"`
			} `json:"s"`
		}](), "S: .F: no schema for the type func()"},
		{"without a name", reflect.TypeFor[struct{ N int }](), "N has no JSON name"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := generator{seen: make(map[reflect.Type]bool)}
			if _, err := g.document(tt.record); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("document = %v, want an error with %q", err, tt.want)
			}
		})
	}
}

// TestDescriptions covers what the source adds to reflection.
func TestDescriptions(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	const code = `package proto

// T refers to [U].
// It goes on.
type T struct {
	// A is above.
	A int
	B, C int // beside
	D int
}

// U is a word.
type U string

const (
	X U = "x"
	Y U = "y"
)
`
	if err := os.WriteFile(filepath.Join(directory, "a.go"), []byte(code), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := readSource(directory)
	if err != nil {
		t.Fatal(err)
	}
	want := source{
		types:  map[string]string{"T": "T refers to U. It goes on.", "U": "U is a word."},
		fields: map[string]string{"T.A": "A is above.", "T.B": "beside", "T.C": "beside", "T.D": ""},
		enums:  map[string][]string{"U": {"x", "y"}},
	}
	if !reflect.DeepEqual(s, want) {
		t.Errorf("readSource =\n%+v, want\n%+v", s, want)
	}
}
