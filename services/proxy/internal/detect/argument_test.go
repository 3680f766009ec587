package detect

import "testing"

func TestArgumentText(t *testing.T) {
	tests := map[string]struct{ arguments, want string }{
		"object":            {`{"a":"x","b":1,"c":"y\nz"}`, member + "x" + member + "y\nz"},
		"array":             {`{"a":["x","y"],"b":"z"}`, " x y" + member + "z"},
		"program and words": {`{"a":"x","b":["y","z"]}`, member + "x y z"},
		"nested":            {`{"a":{"b":[{"c":"x"}]}}`, member + "x"},
		"JSON in a string":  {`{"a":"{\"b\":\"x\"}"}`, member + "x"},
		"braces":            {`{"a":"{x}"}`, member + "{x}"},
		"long name":         {`{"a name of some length":"x"}`, member + "a name of some length" + member + "x"},
		"string":            {`"x"`, member + "x"},
		"empty":             {``, ""},
		"null":              {`null`, ""},
		"text":              {`ls -la`, member + "ls -la"},
		"two documents":     {`{"a":"x"} {"a":"y"}`, member + "x" + member + "y"},
		"cut off":           {`{"a":"x","b":"y`, member + "x" + member + `{"a":"x","b":"y`},
		"trailing garbage":  {`{"a":"x"}}`, member + "x" + member + `{"a":"x"}}`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			text, _ := argumentText(nil, []byte(test.arguments))
			if got := string(text); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
