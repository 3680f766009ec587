// Package structure holds the tests of how the tree is built: which package may
// import which, what a binary links, and that each package says what it is.
package structure

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	root   = "../../.." // of the tree
	module = "github.com/openclaw-security/bus"
)

// file is a Go file of the tree.
type file struct {
	path   string // of the file, from the root
	dir    string // of its package
	test   bool
	syntax *ast.File
}

// files parses the imports and the package comments of all files.
func files(t *testing.T) []file {
	t.Helper()
	var all []file
	set := token.NewFileSet()
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "bin" || d.Name() == "dist"):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, ".go"):
			return nil
		}
		syntax, err := parser.ParseFile(set, name, nil, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		from, err := filepath.Rel(root, name)
		from = filepath.ToSlash(from)
		all = append(all, file{from, path.Dir(from), strings.HasSuffix(name, "_test.go"), syntax})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 100 {
		t.Fatalf("only %d Go files were found", len(all))
	}
	return all
}

// imports are the packages that a file imports: those of the tree from its root,
// as in "services/internal/bus", others by their full path.
func (f file) imports(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, spec := range f.syntax.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, strings.TrimPrefix(name, module+"/"))
	}
	return all
}

// within says whether a package is one of trees or below one.
func within(pkg string, trees ...string) bool {
	return slices.ContainsFunc(trees, func(tree string) bool { return pkg == tree || strings.HasPrefix(pkg, tree+"/") })
}

// external says whether an import is neither of the tree nor of the standard
// library, whose paths have no dot in their first element.
func external(pkg string) bool {
	first, _, _ := strings.Cut(pkg, "/")
	return strings.Contains(first, ".")
}

func ours(pkg string) bool {
	return within(pkg, "proto", "services", "deploy", "suricata", "tracee", "rules", "mappings")
}

// rule forbids imports. Tests may import what they need unless the rule says so.
type rule struct {
	name  string
	in    []string // packages that it is about
	not   []string // but for these
	tests bool
	never func(pkg string) bool
}

// products are the services. What two of them share is in services/internal.
var products = []string{"services/auditor", "services/guard-stub", "services/notifier", "services/proxy", "services/shipper"}

func rules() []rule {
	all := []rule{
		{
			name: "the protocol needs the standard library alone", in: []string{"proto"}, tests: true,
			never: func(pkg string) bool { return external(pkg) || ours(pkg) && !within(pkg, "proto") },
		},
		{
			name: "sensors, rules and mappings know nothing of the services", in: []string{"suricata", "tracee", "rules", "mappings"},
			never: func(pkg string) bool { return within(pkg, "services") },
		},
		{
			name: "what services share knows none of them", in: []string{"services/internal"},
			never: func(pkg string) bool {
				return pkg == "services" || within(pkg, products...) || within(pkg, "services/secbus")
			},
		},
		{
			name: "no product has test support in it", in: []string{"services", "proto", "deploy"},
			not:   []string{"services/testing", "deploy/compose/e2e", "services/shipper/internal/normalize/normalizetest"},
			never: func(pkg string) bool { return within(pkg, "services/testing", "testing", "net/http/httptest") },
		},
		{
			name: "a sink does not know who delivers", in: []string{"services/notifier/internal/sink"},
			never: func(pkg string) bool { return within(pkg, "services/notifier/internal/delivery") },
		},
		{
			name: "the server is embedded in one place", in: []string{"services", "proto"}, not: []string{"services/internal/natsd", "services/testing"},
			never: func(pkg string) bool { return within(pkg, "github.com/nats-io/nats-server") },
		},
	}
	for _, p := range products {
		all = append(all, rule{
			name: "a service knows no other", in: []string{p},
			never: func(pkg string) bool {
				return pkg == "services" || within(pkg, "services/secbus") || within(pkg, products...) && !within(pkg, p)
			},
		})
	}
	return all
}

func TestImports(t *testing.T) {
	all := files(t)
	for _, r := range rules() {
		for _, f := range all {
			if f.test && !r.tests || !within(f.dir, r.in...) || within(f.dir, r.not...) {
				continue
			}
			for _, pkg := range f.imports(t) {
				if r.never(pkg) {
					t.Errorf("%s imports %s: %s", f.path, pkg, r.name)
				}
			}
		}
	}
}

// TestBinaries looks at all that is linked, the libraries of libraries included.
func TestBinaries(t *testing.T) {
	binaries := []string{"./services/secbus", "./deploy/compose/natsprobe"}
	for _, p := range products {
		binaries = append(binaries, "./"+path.Join(p, "cmd", path.Base(p)))
	}
	for _, tags := range []string{"", "container"} {
		imports := make(map[string][]string)
		list := exec.CommandContext(t.Context(), "go", append([]string{"list", "-tags", tags, "-deps", "-f", `{{.ImportPath}} {{join .Imports " "}}`}, binaries...)...)
		list.Dir = root
		out, err := list.Output()
		if err != nil {
			t.Fatalf("listing what the binaries import: %v", err)
		}
		for line := range strings.Lines(string(out)) {
			words := strings.Fields(line)
			imports[words[0]] = words[1:]
		}
		for _, binary := range binaries {
			for _, pkg := range reached(imports, path.Join(module, binary)) {
				server := within(pkg, "github.com/nats-io/nats-server/v2") && (binary != "./services/secbus" || tags == "container")
				// Not "testing": a library of a library imports it.
				if server || within(pkg, module+"/services/testing", "net/http/httptest") {
					t.Errorf("%s (tags %q) links %s", binary, tags, pkg)
				}
			}
		}
	}
}

func reached(imports map[string][]string, from string) []string {
	seen, todo := map[string]bool{from: true}, []string{from}
	var all []string
	for len(todo) > 0 {
		pkg := todo[0]
		todo = todo[1:]
		all = append(all, pkg)
		for _, next := range imports[pkg] {
			if !seen[next] {
				seen[next] = true
				todo = append(todo, next)
			}
		}
	}
	return all
}

// maxWords bounds a package comment, pictures not counted.
const maxWords = 400

// TestPackageComments: every package has one comment, which names it and is short.
func TestPackageComments(t *testing.T) {
	packages := make(map[string][]file)
	for _, f := range files(t) {
		packages[f.dir] = append(packages[f.dir], f)
	}
	for dir, all := range packages {
		productive := slices.DeleteFunc(slices.Clone(all), func(f file) bool { return f.test })
		if len(productive) == 0 { // all of it are tests
			productive = slices.DeleteFunc(all, func(f file) bool { return strings.HasSuffix(f.syntax.Name.Name, "_test") })
		}
		var found []file
		for _, f := range productive {
			if f.syntax.Doc != nil {
				found = append(found, f)
			}
		}
		if len(productive) == 0 {
			continue
		}
		if len(found) != 1 {
			t.Errorf("%s has %d package comments", dir, len(found))
			continue
		}
		name, text := found[0].syntax.Name.Name, found[0].syntax.Doc.Text()
		kind, said, _ := strings.Cut(text, " ")
		said, _, _ = strings.Cut(said, " ")
		if name == "main" && (kind != "Command" || !strings.HasSuffix(said, path.Base(dir))) || name != "main" && (kind != "Package" || said != name) {
			t.Errorf("%s: the package comment begins with %q", found[0].path, kind+" "+said)
		}
		words := 0
		for line := range strings.Lines(text) {
			if !strings.HasPrefix(line, "\t") { // of a picture
				words += len(strings.Fields(line))
			}
		}
		if words > maxWords {
			t.Errorf("%s: the package comment has %d words, more than %d: reasons belong into docs/design.md or docs/adr", found[0].path, words, maxWords)
		}
	}
}
