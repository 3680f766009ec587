package expr_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/openclaw-security/bus/services/internal/expr"
)

const document = `{
	"kind": "exec", "port": 443, "big": 9007199254740993, "huge": 18446744073709551615, "small": -9223372036854775808,
	"ratio": 0.5, "exp": 1e3, "no": false, "yes": true, "nothing": null, "empty": "",
	"process": {"name": "sh", "args": ["sh", "-c", "curl x | sh"]},
	"dst": {"ip": "192.0.2.7"}, "six": "2001:db8::1", "mapped": "::ffff:10.0.0.1",
	"id.orig_h": "192.0.2.1", "mitre": [{"id": "T1"}, {"id": "T2", "name": "x"}]
}`

func decode(t testing.TB, text string) map[string]any {
	t.Helper()
	d, err := expr.Decode([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestValue(t *testing.T) {
	d := decode(t, document)
	for _, test := range []struct {
		expression string
		want       any
	}{
		{`$.kind`, "exec"},
		{`$["id.orig_h"]`, "192.0.2.1"},
		{`$.process.args[1]`, "-c"},
		{`$.process.args[0:2]`, []any{"sh", "-c"}},
		{`$.mitre[*].id`, []any{"T1", "T2"}},
		{`$.mitre[?(@.name == "x")].id`, []any{"T2"}},
		{`$.mitre[?(@.id =~ "2$")].id`, []any{"T2"}},
		{`$.big`, json.Number("9007199254740993")},
		{`$.missing`, nil},
		{`$.kind.missing`, nil},
		{`$.process.args[7]`, nil},
		{`$.missing.args[0].x`, nil},

		{`$.big == 9007199254740993`, true},
		{`$.big == 9007199254740992`, false},
		{`$.big > 9007199254740992`, true},
		{`$.huge == 18446744073709551615`, true},
		{`$.huge > 18446744073709551614`, true},
		{`$.small == -9223372036854775808`, true},
		{`$.small < $.huge`, true},
		{`$.huge <= $.small`, false},
		{`-1 > $.small`, true},
		{`$.exp == 1000`, true},
		{`$.ratio < 1 && $.ratio >= 0.5`, true},
		{`$.port == "443"`, false},
		{`$.port != 443`, false},
		{`$.missing == null && $.nothing == null`, true},
		{`$.missing == ""`, false},
		{`$.missing != "x"`, true},
		{`$.missing > 1 || $.missing < 1`, false},
		{`$.kind > 1 || $.kind < 1`, false},
		{`$.kind < "f"`, true},
		{`$.no == $.missing`, false},
		{`$.missing == 1 || $.kind == "exec"`, true},

		{`$.kind =~ "^ex"`, true},
		{`$.kind !~ "^ex"`, false},
		{"$.process.args =~ `curl [a-z] \\|`", true},
		{`$.process.args =~ "^nothing$"`, false},
		{`$.missing =~ ".*"`, false},
		{`$.missing !~ ".*"`, true},
		{`$.port =~ "443"`, false},
		{`$.kind in ["open", "exec"]`, true},
		{`"-c" in $.process.args`, true},
		{`443 in [1, 443]`, true},
		{`"x" in $.missing`, false},
		{`$.dst.ip inCIDR "192.0.2.0/24"`, true},
		{`$.dst.ip inCIDR "10.0.0.0/8"`, false},
		{`$.mapped inCIDR "10.0.0.0/8"`, true},
		{`$.six inCIDR "2001:db8::/32"`, true},
		{`$.kind inCIDR "10.0.0.0/8"`, false},
		{`!($.dst.ip inCIDR "10.0.0.0/8")`, true},

		{"$.process.args[2] capture `(curl \\w)`", "curl x"},
		{"$.kind capture `^(open)?exec$`", nil},
		{"$.kind capture `x(.)` ?? `none`", "e"},
		{"$.port capture `(.*)`", nil},
		{"$.process capture `(.*)`", nil},
		{"`[` + ($.missing capture `(.*)`) + ($.kind capture `^(.)`)", "[e"},
		{`"a" + $.kind + ":" + $.port`, "aexec:443"},
		{`"a" + $.missing`, "a"},
		{`"args " + $.process.args`, "args sh, -c, curl x | sh"},
		{`$.missing ?? $.kind`, "exec"},
		{`$.empty ?? $.kind`, ""},
		{`$.no ?? $.kind`, false},
		{`$.kind == "exec" ? "yes" : "no"`, "yes"},
		{`$.kind == "open" ? "a" : $.port == 443 ? "b" : "c"`, "b"},
		{`$.missing ? "a" : null`, nil},
		{"$.kind == \"exec\"\n  && $.port == 443", true},
	} {
		t.Run(test.expression, func(t *testing.T) {
			x, err := expr.Compile(test.expression)
			if err != nil {
				t.Fatal(err)
			}
			got, err := x.Value(d)
			if err != nil || !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %#v (%v), want %#v", got, err, test.want)
			}
		})
	}
}

func TestMatch(t *testing.T) {
	d := decode(t, document)
	for _, test := range []struct {
		expression string
		want       bool
		err        string
	}{
		{`$.yes`, true, ""},
		{`$.no`, false, ""},
		{`$.missing`, false, ""},
		{`!$.missing`, true, ""},
		{`$.missing && $.kind`, false, ""},
		{`$.kind`, false, "a condition is needed, not a text"},
		{`$.port`, false, "a condition is needed, not a number"},
		{`$.yes && $.process.args`, false, "a condition is needed, not a list"},
		{`$.kind && $.yes`, false, "a condition is needed, not a text"},
		{`$.no || $.process`, false, "a condition is needed, not an object"},
		{`!$.kind`, false, "a condition is needed, not a text"},
		{`$.kind in $.kind`, false, "in takes a list, not a text"},
		{`-$.kind == 1`, false, "minus takes a number, not a text"},
	} {
		t.Run(test.expression, func(t *testing.T) {
			x, err := expr.Compile(test.expression)
			if err != nil {
				t.Fatal(err)
			}
			got, err := x.Match(d)
			message := ""
			if err != nil {
				message = err.Error()
			}
			if got != test.want || message != test.err {
				t.Errorf("got %v (%v), want %v (%s)", got, err, test.want, test.err)
			}
		})
	}
}

func TestCompileErrors(t *testing.T) {
	for _, test := range []struct{ expression, want string }{
		{" \n", "is empty"},
		{`$.a ==`, "unexpected EOF while scanning extensions at character 7"},
		{`$.a = 1`, `unexpected "=" while scanning operator at character 5`},
		{"$.a == 1 &&\n$.b === 2", "at line 2"},
		{`kind == "x"`, "unknown name kind (a field is written $.kind, a text in quotes)"},
		{`$.kind == x`, "unknown name x"},
		{`matches($.a, "x")`, "unknown name matches"},
		{`$.a =~ "("`, "missing closing )"},
		{`$.a =~ $.b`, "a regular expression must be a text in quotes"},
		{`$.a capture "x"`, "has no group to capture"},
		{`$.a capture $.b`, "a regular expression must be a text in quotes"},
		{`$.a inCIDR "10.0.0.0"`, `"10.0.0.0" is not a network such as 10.0.0.0/8`},
		{`$.a inCIDR 10`, "a network must be a text in quotes"},
		{`$.a == 0x10`, "0x10 is not a decimal number"},
		{`$.a == 0x1p4`, "0x1p4 is not a decimal number"},
		{`$.a[`, "unexpected"},
		{`$.a..b`, "has a path with two dots"},
		{`$.a[$..b]`, "has a path with two dots"},
		{`$.a $.b`, "unexpected"},
	} {
		t.Run(test.expression, func(t *testing.T) {
			_, err := expr.Compile(test.expression)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

func TestPaths(t *testing.T) {
	for _, test := range []struct {
		expression string
		want       []expr.Path
	}{
		{`1 == 1`, nil},
		{`$.a.b == "$.c"`, []expr.Path{{"a", "b"}}},
		{`$.a["b.c"].d != $.e`, []expr.Path{{"a", "b.c", "d"}, {"e"}}},
		{`$.a[0].b`, []expr.Path{{"a", expr.Index, "b"}}},
		{`$.a[0:2] =~ "x"`, []expr.Path{{"a", expr.Anywhere}}},
		{`$.a["b","c"].d`, []expr.Path{{"a", expr.Anywhere}}},
		{`$.a[?(@.x == $.b.c)].d`, []expr.Path{{"a", expr.Anywhere}, {"b", "c"}}},
		{`$.*`, []expr.Path{{expr.Anywhere}}},
		{`$ == null`, []expr.Path{{}}},
		{"$.a // $.b\n && $.c", []expr.Path{{"a"}, {"c"}}},
	} {
		t.Run(test.expression, func(t *testing.T) {
			x, err := expr.Compile(test.expression)
			if err != nil {
				t.Fatal(err)
			}
			if got := x.Paths(); !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestDecode(t *testing.T) {
	tolerant := []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}
	for _, test := range []struct {
		name, data string
		opts       []jsontext.Options
		want       map[string]any // nil: refused
	}{
		{"every type", `{"a":[1,"b",true,false,null,{}],"c":1.0}`, nil, map[string]any{
			"a": []any{json.Number("1"), "b", true, false, nil, map[string]any{}}, "c": json.Number("1.0"),
		}},
		{"a name twice", `{"a":1,"a":2}`, nil, nil},
		{"a name twice, tolerantly", `{"a":1,"a":2}`, tolerant, map[string]any{"a": json.Number("2")}},
		{"objects merged", `{"a":{"b":1,"c":1},"a":{"c":2}}`, tolerant, map[string]any{
			"a": map[string]any{"b": json.Number("1"), "c": json.Number("2")},
		}},
		{"malformed UTF-8", "{\"a\":\"\xff\"}", nil, nil},
		{"malformed UTF-8, tolerantly", "{\"a\":\"\xff\"}", tolerant, map[string]any{"a": "\ufffd"}},
		{"cut off", `{"a":[1`, nil, nil},
		{"data behind it", `{}0`, nil, nil},
		{"white space behind it", "{} \n", nil, map[string]any{}},
		{"no object", `[1]`, nil, nil},
		{"nothing", ``, nil, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := expr.Decode([]byte(test.data), test.opts...)
			if (err == nil) != (test.want != nil) || test.want != nil && !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %#v (%v), want %#v", got, err, test.want)
			}
		})
	}
}

// Whatever is written in a rule, compiling and evaluating it ends without panic.
func FuzzCompile(f *testing.F) {
	for _, text := range []string{
		`$.a == 1 && !($.b =~ "x") || $.c in ["d"]`, `$.a[?(@.b == 1)][0:2]`, `$.*.a`, `$.a ? "b" : -1.5`, `{"a": $.b}`,
		`$.a inCIDR "10.0.0.0/8" ?? null`, "$.a(@.b + `c`)", `[`, `$.a[`, `'`, `$.kind(1)`, `"a"[0]`,
	} {
		f.Add(text)
	}
	d := decode(f, document)
	f.Fuzz(func(t *testing.T, text string) {
		x, err := expr.Compile(text)
		if err != nil {
			return
		}
		x.Paths()
		// An error is as good as a value here.
		_, _ = x.Match(d)
	})
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(document))
	f.Add([]byte(`{"a":{"b":1},"a":{"b":"\ud800"},"c":1e999999999}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := expr.Decode(data, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
		if (got == nil) != (err != nil) {
			t.Errorf("got %v and error %v", got, err)
		}
	})
}
