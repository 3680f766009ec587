package yamlfile_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/yamlfile"
)

// read reads {name: text, number: 17, list: [text], map: {any: text}} into one line.
func read(text string) (string, error) {
	var out strings.Builder
	err := yamlfile.Parse("f.yaml", []byte(text), func(f *yamlfile.File, root yamlfile.Node) {
		f.Fields(root, map[string]func(yamlfile.Node){
			"name":   func(n yamlfile.Node) { fmt.Fprintf(&out, "name=%q ", f.Text(n)) },
			"number": func(n yamlfile.Node) { fmt.Fprintf(&out, "number=%d ", yamlfile.Scalar(f, n, strconv.Atoi)) },
			"list":   func(n yamlfile.Node) { fmt.Fprintf(&out, "list=%q ", f.Texts(n)) },
			"map": func(n yamlfile.Node) {
				f.Each(n, func(_, value yamlfile.Node, name string) { fmt.Fprintf(&out, "%s=%q ", name, f.Text(value)) })
			},
		})
	})
	return strings.TrimSpace(out.String()), err
}

func TestParse(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"one key", "name: x", `name="x"`},
		{"scalars keep their text", "list: [0x10, 1.50, true, 'a b', \"c\\n\"]", `list=["0x10" "1.50" "true" "a b" "c\n"]`},
		{"block scalars", "name: |-\n  a\n  b\n", `name="a\nb"`},
		{"folded scalars", "name: >-\n  a\n  b\n", `name="a b"`},
		{"parsed", "number: 17\n", `number=17`},
		{"own keys", "map:\n  a: 1\n  443: b\n", `a="1" 443="b"`},
		{"comments", "# c\nname: x # y\nlist:\n  # z\n  - a\n", `name="x" list=["a"]`},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got, err := read(test.text); err != nil || got != test.want {
				t.Errorf("got %s (%v), want %s", got, err, test.want)
			}
		})
	}
}

func TestFaults(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       []string
	}{
		{"all at once", "nam: x\nlist: {a: b}\nmap:\n  a: [1]\n", []string{
			`f.yaml:1:1: nam: unknown key "nam"`,
			`f.yaml:2:8: list: must be a list, not a mapping`,
			`f.yaml:4:6: map.a: must be a text, not a list`,
		}},
		{"not parsed", "number: x\n", []string{`f.yaml:1:9: number: strconv.Atoi: parsing "x": invalid syntax`}},
		{"not even a text", "number: [1]\n", []string{`f.yaml:1:9: number: must be a text, not a list`}},
		{"within a list", "list:\n  - a\n  - [b]\n", []string{`f.yaml:3:5: list[1]: must be a text, not a list`}},
		{"no mapping", "- a\n", []string{`f.yaml:1:1: must be a mapping, not a list`}},
		{"empty value", "name:\n", []string{`f.yaml:1:7: name: must be a text, not empty`}},
		{"duplicate key", "name: a\nname: b\n", []string{`f.yaml:2:1: mapping key "name" already defined at [1:1]`}},
		{"anchor", "name: &a x\n", []string{`f.yaml:1:7: name: must be a text, not an anchor or alias`}},
		{"tag", "map: !!map\n  a: b\n", []string{`f.yaml:1:6: map: must be a mapping, not a tag`}},
		{"merge key", "map:\n  <<: {a: b}\n", []string{`f.yaml:2:3: map.<<: must have a text for a key`}},
		{"syntax", "name: [a\n", []string{`f.yaml:1:7: sequence end token ']' not found`}},
		{"nothing", "# only this\n", []string{`f.yaml: is not a single YAML document`}},
		{"two documents", "name: a\n---\nname: b\n", []string{`f.yaml: is not a single YAML document`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := read(test.text)
			var all *config.Errors
			if !errors.As(err, &all) {
				t.Fatalf("got %v", err)
			}
			var got []string
			for _, f := range all.Faults {
				got = append(got, f.Error())
			}
			if strings.Join(got, "\n") != strings.Join(test.want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add("name: x\nlist: [a, b]\nmap: {a: 1}\n")
	f.Add("name: >-\n  a\n  b\nmap:\n  <<: *a\n  ? [b]\n  : !!c d\n")
	f.Fuzz(func(t *testing.T, text string) {
		_, err := read(text)
		var all *config.Errors
		if err != nil && (!errors.As(err, &all) || len(all.Faults) == 0) {
			t.Errorf("got %v", err)
		}
	})
}
