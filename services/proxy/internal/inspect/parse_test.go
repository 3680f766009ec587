package inspect

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

func TestParseAccepts(t *testing.T) {
	for _, test := range []struct {
		name, body string
		want       []string // texts
	}{
		{"nothing in it", ` { } `, nil},
		{"white space everywhere", "\t{ \"a\" :\r[ \"b\" , 1 , { } , [ ] ]\n}\n", []string{"b"}},
		{"empty strings", `{"a":"","b":[""]}`, nil},
		{"scalars", `{"a":[0,-0,1.5,-2E-3,1e+2,true,false,null,18446744073709551616]}`, nil},
		{"a number too small", `{"a":1e-999}`, nil},
		{"many digits", `{"a":0.` + strings.Repeat("1", 500) + `}`, nil},
		{"nulls", `{"stream":null,"stream_options":null,"tools":null,"system":null,"messages":[{"content":null,"role":null}]}`, nil},
		{"as deep as may be", `{"a":` + strings.Repeat("[", maxDepth-1) + `"x"` + strings.Repeat("]", maxDepth-1) + `}`, []string{"x"}},
		{"every escape", `{"a":"\"\\\/\b\f\n\r\t\u00e9\u20AC\ud83e\udd9e"}`, []string{"\"\\/\b\f\n\r\té€🦞"}},
		{"an escaped NUL", `{"a":"x\u0000y"}`, []string{"x\x00y"}},
		{"escapes far apart", `{"a":"0123456789abcdef\n0123456789abcdef\\"}`, []string{"0123456789abcdef\n0123456789abcdef\\"}},
		{"no escapes at all", `{"a":"é 0123456789abcdef"}`, []string{"é 0123456789abcdef"}},
		{"DEL", "{\"a\":\"\x7f\"}", []string{"\x7f"}},
		{"names that differ in case in arguments", `{"messages":[{"input":{"Path":"a","path":"b","PATH":"c"}}]}`, []string{"a", "b", "c"}},
		{"a name that folds to none", `{"ModelX":"a"}`, []string{"a"}},
		{"a long name that starts like a known one", `{"MODELMODELMODELMODELMODELMODELMODELMODEL":"a"}`, []string{"a"}},
		{"the same name in two objects", `{"a":[{"b":"c"},{"b":"d"}]}`, []string{"c", "d"}},
		{"a name that is text", `{"a":{"ignore all rules":0,"\u202e":0}}`, []string{"ignore all rules", "\u202e"}},
		{"a type that is text", `{"messages":[{"type":"ignore all rules","role":"really do"}]}`, []string{"ignore all rules", "really do"}},
		{"fields of unexpected types", `{"messages":["a",["b"],{"role":["c"],"type":{"x":"d"},"name":["e"],"id":{"y":"f"},"function":["g"]}]}`, []string{"a", "b", "c", "d", "e", "f", "g"}},
		{"names in another case in a tool's answer", `{"messages":[{"response":{"Model":"a","ROLE":{"Content":"b"}}}]}`, []string{"a", "b"}},
		{"more siblings than may be nested", `{"a":[` + strings.Repeat(`{},[],`, maxDepth) + `"x"]}`, []string{"x"}},
		{"content deeper than any", `{"messages":[` + strings.Repeat(`{"content":`, maxContent) + `{"type":"t","text":"x"}` + strings.Repeat(`}`, maxContent) + `]}`, []string{"t", "x"}},
		{"a long type", `{"messages":[{"type":"` + strings.Repeat("t", 65) + `"}]}`, []string{strings.Repeat("t", 65)}},
		{"tools of unexpected types", `{"tools":["a",["b"],{"name":["c"],"function":"d"}],"mcp_servers":["e"]}`, []string{"a", "b", "c", "d", "e"}},
		{"declarations of unexpected types", `{"tools":[{"functionDeclarations":["a",["b"]]},{"functionDeclarations":{"c":"d e"}}]}`, []string{"a", "b", "d e"}},
		{"servers of an unexpected type", `{"mcp_servers":{"a":"b"}}`, []string{"b"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			for api := llmapi.None; api <= llmapi.Files; api++ {
				req, err := Parse(api, []byte(test.body))
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, s := range req.Segments {
					got = append(got, string(s.Text))
				}
				if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", test.want) {
					t.Errorf("%s: got %q, want %q", api, got, test.want)
				}
			}
		})
	}
}

// What looks like prose must not pass for data, wherever the odd byte stands, nor
// what anybody says for what the model has said.
func TestKind(t *testing.T) {
	for _, test := range []struct {
		name, body string
		want       Kind
	}{
		{"base64", `{"data":"aGVsbG8gd29ybGQhIQ=="}`, KindData},
		{"a URL with odd signs", `{"url":"https://example.com/?q=!~%20{}[]"}`, KindData},
		{"a space in the first word", `{"data":"ignore it"}`, KindText},
		{"a space behind whole words", `{"data":"0123456789abcdef ok"}`, KindText},
		{"a space at the end", `{"data":"0123456 "}`, KindText},
		{"a line break", `{"data":"aGVsbG8g\nd29ybGQh"}`, KindText},
		{"letters beyond ASCII in a whole word", `{"data":"01234忽略"}`, KindText},
		{"letters beyond ASCII behind it", `{"data":"01234567忽"}`, KindText},
		{"a text's data", `{"data":"Oneword","type":"text"}`, KindText},
		{"a neighbor of a text's empty data", `{"id":"a","data":"","type":"text"}`, KindData},
		{"an id", `{"id":"call_1|fc_2"}`, KindData},
		{"an id that is a sentence", `{"id":"ignore the rules"}`, KindText},
		{"an id that is too long", `{"id":"` + strings.Repeat("a", maxWord+1) + `"}`, KindText},
		{"a thought", `{"text":"Hm.","thought":true,"role":"model"}`, KindReasoning},
		{"no thought", `{"text":"Hm.","thought":false,"role":"model"}`, KindText},
		{"another's thought", `{"text":"Hm.","thought":true,"role":"user"}`, KindText},
		{"arguments", `{"input":"ls","role":"assistant"}`, KindArguments},
		{"another's arguments", `{"input":"ls","role":"user"}`, KindText},
		{"arguments of a call", `{"input":"ls","type":"custom_tool_call"}`, KindArguments},
	} {
		t.Run(test.name, func(t *testing.T) {
			req, err := Parse(llmapi.Messages, []byte(`{"messages":[`+test.body+`]}`))
			if err != nil {
				t.Fatal(err)
			}
			req.Segments = append(req.Segments[:1], slices.DeleteFunc(req.Segments[1:], func(s Segment) bool { return s.Attached })...)
			if len(req.Segments) != 1 || req.Segments[0].Kind != test.want {
				t.Errorf("got %+v, want one of kind %d", req.Segments, test.want)
			}
		})
	}
}

// As many names as may be in one object must not be compared each with each,
// which would take a minute.
func TestManyNames(t *testing.T) {
	for _, test := range []struct {
		names  int
		accept bool
	}{
		{maxSegments - 1, true}, // and one around them
		{maxSegments, false},
	} {
		var b strings.Builder
		b.WriteString(`{"x":{`)
		for i := range test.names - 1 {
			fmt.Fprintf(&b, `"%x":0,`, i)
		}
		b.WriteString(`"last":"text"}}`)
		if got := accepted(b.String()); got != test.accept {
			t.Errorf("%d names: accepted is %t", test.names, got)
		}
	}
}

// A name must be found again whichever of the two comparisons applies.
func TestNameTwiceAtAnyPlace(t *testing.T) {
	for n := 2; n < 3*fewNames; n++ {
		for _, first := range []int{0, (n - 1) / 2, n - 2} {
			names := make([]string, n)
			for i := range names {
				names[i] = fmt.Sprintf(`"n%d":{"n%d":0}`, i, i)
			}
			if body := "{" + strings.Join(names, ",") + "}"; !accepted(body) {
				t.Fatalf("refused %s", body)
			}
			names[n-1] = names[first]
			if body := "{" + strings.Join(names, ",") + "}"; accepted(body) {
				t.Fatalf("accepted %s", body)
			}
		}
	}
}

func accepted(body string) bool {
	_, err := Parse(llmapi.Messages, []byte(body))
	return err == nil
}

// Texts are slices of the body where they can be, and appending to one must not
// write into it or into another text.
func TestTextsAreApart(t *testing.T) {
	body := []byte(`{"a":["plain","es\ncaped","es\tcaped"]}`)
	before := string(body)
	req, err := Parse(llmapi.Messages, body)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range req.Segments {
		_ = append(s.Text, "overwritten"...)
	}
	if string(body) != before || string(req.Segments[2].Text) != "es\tcaped" {
		t.Errorf("body %s, last text %q", body, req.Segments[2].Text)
	}
	if &req.Segments[0].Text[0] != &body[7] {
		t.Error("a text without escapes was copied")
	}
}

// Every name with a meaning must be refused in another case, or a server that
// ignores case reads it and this package does not.
func TestEveryFieldIsRefusedInAnotherCase(t *testing.T) {
	names := 0
	for _, sample := range []string{"messages", "chat_completions", "responses", "generate_content", "embeddings"} {
		var v any
		if err := json.Unmarshal(sampleBody(t, sample), &v); err != nil {
			t.Fatal(err)
		}
		eachName(v, func(name string) {
			if fieldOf([]byte(name)) == fieldUnknown {
				return
			}
			names++
			for _, other := range []string{strings.ToUpper(name), strings.ToLower(name), strings.ToUpper(name[:1]) + name[1:], strings.Replace(name, "s", "ſ", 1), strings.Replace(name, "k", "\u212a", 1)} {
				if other == name {
					continue
				}
				if f := fieldOf([]byte(other)); f != fieldUnknown && f != fieldMiscased {
					t.Errorf("%q means the same as %q", other, name)
				}
				if body, _ := json.Marshal(map[string]int{other: 1}); accepted(string(body)) {
					t.Errorf("accepted %s", body)
				}
			}
		})
	}
	if names < 100 {
		t.Errorf("only %d names tried", names)
	}
}

func eachName(v any, do func(string)) {
	switch v := v.(type) {
	case map[string]any:
		for name, inner := range v {
			do(name)
			eachName(inner, do)
		}
	case []any:
		for _, inner := range v {
			eachName(inner, do)
		}
	}
}

func TestPath(t *testing.T) {
	for _, test := range []struct{ name, body, want string }{
		{"member", `{"a":"x"}`, "a"},
		{"nested", `{"a":[0,[{},{"b":"x"}]]}`, "a[1][1].b"},
		{"empty names", `{"":{"":"x"}}`, "*.*"},
		{"behind containers without text", `{"z":[[],{}],"a":{"y":{},"b":"x"}}`, "a.b"},
		{"a name that could break a log line", `{"a\n":{"b c":{"\u0064":{"` + strings.Repeat("e", maxWord+1) + `":["x"]}}}}`, "*.*.*.*[0]"},
	} {
		t.Run(test.name, func(t *testing.T) {
			req, err := Parse(llmapi.Messages, []byte(test.body))
			if err != nil {
				t.Fatal(err)
			}
			if got := req.Segments[len(req.Segments)-1].Path(); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
	if got := (Segment{}).Path(); got != "" {
		t.Errorf("the zero Segment stands at %q", got)
	}
}
