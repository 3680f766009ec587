package schema

import (
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// source is what reflection does not know of a package.
type source struct {
	types  map[string]string   // doc comments by type name
	fields map[string]string   // doc and line comments by "Type.Field"
	enums  map[string][]string // values of string constants by the name of their type
}

// readSource reads the Go files of a directory, tests excepted.
func readSource(directory string) (source, error) {
	fset := token.NewFileSet()
	var files []*ast.File
	entries, err := os.ReadDir(directory)
	if err != nil {
		return source{}, fmt.Errorf("listing Go files: %w", err)
	}
	for _, entry := range entries {
		name := entry.Name()
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(fset, filepath.Join(directory, name), nil, parser.ParseComments)
		if err != nil {
			return source{}, fmt.Errorf("parsing Go source: %w", err)
		}
		files = append(files, f)
	}
	p, err := doc.NewFromFiles(fset, files, "proto", doc.AllDecls)
	if err != nil {
		return source{}, fmt.Errorf("reading doc comments: %w", err)
	}
	s := source{types: make(map[string]string), fields: make(map[string]string), enums: make(map[string][]string)}
	for _, t := range p.Types {
		s.types[t.Name] = plain(p, t.Doc)
		for _, spec := range t.Decl.Specs {
			s.addFields(p, spec)
		}
		for _, c := range t.Consts {
			if err := s.addEnum(t.Name, c.Decl); err != nil {
				return source{}, err
			}
		}
	}
	return s, nil
}

func (s source) addFields(p *doc.Package, spec ast.Spec) {
	t, ok := spec.(*ast.TypeSpec)
	if !ok {
		return
	}
	st, ok := t.Type.(*ast.StructType)
	if !ok {
		return
	}
	for _, f := range st.Fields.List {
		comment := f.Doc
		if comment == nil {
			comment = f.Comment
		}
		for _, name := range f.Names {
			s.fields[t.Name.Name+"."+name.Name] = plain(p, comment.Text())
		}
	}
}

func (s source) addEnum(typeName string, d *ast.GenDecl) error {
	for _, spec := range d.Specs {
		for _, v := range spec.(*ast.ValueSpec).Values {
			literal, ok := v.(*ast.BasicLit)
			if !ok || literal.Kind != token.STRING {
				continue
			}
			value, err := strconv.Unquote(literal.Value)
			if err != nil {
				return fmt.Errorf("reading a constant of %s: %w", typeName, err)
			}
			s.enums[typeName] = append(s.enums[typeName], value)
		}
	}
	return nil
}

// plain turns a doc comment into text on one line a paragraph, with the
// brackets of doc links removed.
func plain(p *doc.Package, comment string) string {
	printer := p.Printer()
	printer.TextWidth = -1
	return strings.TrimSpace(string(printer.Text(p.Parser().Parse(comment))))
}
