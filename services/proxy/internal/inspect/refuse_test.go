package inspect

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

func TestParseRefuses(t *testing.T) {
	many := func(n int, last string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `"name%d":0,`, i)
		}
		return b.String() + last
	}
	for _, test := range []struct {
		name, body string
		reason     string
		offset     int // -1: not checked
	}{
		{"nothing", ``, "the body is not a JSON object", 0},
		{"white space", " \n", "the body is not a JSON object", 2},
		{"array", ` []`, "the body is not a JSON object", 1},
		{"string", `"model"`, "the body is not a JSON object", 0},
		{"byte order mark", "\ufeff{}", "the body starts with a byte order mark", 0},
		{"UTF-16", "\xff\xfe{\x00}\x00", "the body is not UTF-8", 0},
		{"malformed UTF-8", "{\"a\":\"\u00e9\ufffd\xc3\"}", "the body is not UTF-8", 11},
		{"overlong UTF-8", "{\"a\":\"\xc0\xaf\"}", "the body is not UTF-8", 6},
		{"surrogate in UTF-8", "{\"a\":\"\xed\xa0\x80\"}", "the body is not UTF-8", 6},

		{"end of the body", `{`, reasonSyntax, 1},
		{"end in a string", `{"a":"b`, "a string does not end", 5},
		{"end in an escape", `{"a":"b\`, "a string has an escape that JSON does not know", 7},
		{"end in a Unicode escape", `{"a":"b\u12`, "a string has an escape that JSON does not know", 7},
		{"end behind a name", `{"a"`, reasonSyntax, 4},
		{"end behind a colon", `{"a":`, reasonSyntax, 5},
		{"no colon", `{"a" 1}`, reasonSyntax, 5},
		{"no comma", `{"a":1 "b":2}`, reasonSyntax, 7},
		{"comma at the end of an object", `{"a":1,}`, reasonSyntax, 7},
		{"comma at the start of an object", `{,"a":1}`, reasonSyntax, 1},
		{"comma at the end of an array", `{"a":[1,]}`, "a: " + reasonSyntax, 8},
		{"wrong bracket", `{"a":[1}`, "a: " + reasonSyntax, 7},
		{"name without quotes", `{a:1}`, reasonSyntax, 1},
		{"single quotes", `{'a':1}`, reasonSyntax, 1},
		{"comment", `{"a":1/**/}`, reasonSyntax, 6},
		{"unknown literal", `{"a":nil}`, reasonSyntax, 5},
		{"literal with a tail", `{"a":nulls}`, reasonSyntax, 9},
		{"NaN", `{"a":NaN}`, reasonSyntax, 5},
		{"form feed between tokens", "{\f}", reasonSyntax, 1},
		{"NUL between tokens", "{\x00}", reasonSyntax, 1},
		{"NUL behind the body", "{}\x00", "something follows the JSON object", 2},
		{"second object", `{} {}`, "something follows the JSON object", 3},

		{"leading zero", `{"a":01}`, reasonSyntax, 6},
		{"plus", `{"a":+1}`, reasonSyntax, 5},
		{"minus alone", `{"a":-}`, reasonSyntax, 6},
		{"point without digits", `{"a":1.}`, reasonSyntax, 7},
		{"exponent without digits", `{"a":1e+}`, reasonSyntax, 8},
		{"hexadecimal", `{"a":0x1}`, reasonSyntax, 6},
		{"out of range", `{"a":-1e999}`, "a number is out of range", 5},
		{"out of range without exponent", `{"a":` + strings.Repeat("9", 400) + `}`, "a number is out of range", 5},

		{"NUL in a string", "{\"a\":\"\x00\"}", "a control character stands unescaped in a string", 6},
		{"line break in a string", "{\"a\":\"\\tlong enough\nb\"}", "a control character stands unescaped in a string", 19},
		{"unknown escape", `{"a":"\x41"}`, "a string has an escape that JSON does not know", 6},
		{"escape of nothing", `{"a":"\u00g0"}`, "a string has an escape that JSON does not know", 6},
		{"high surrogate alone", `{"a":"\ud83e!"}`, "a string has half a surrogate pair, such as a cut emoji leaves", 6},
		{"high surrogate before an escape", `{"a":"\ud83e\n"}`, "a string has half a surrogate pair, such as a cut emoji leaves", 6},
		{"low surrogate alone", `{"a":"\udd9e"}`, "a string has half a surrogate pair, such as a cut emoji leaves", 6},
		{"surrogates in the wrong order", `{"a":"\udd9e\ud83e"}`, "a string has half a surrogate pair, such as a cut emoji leaves", 6},
		{"half a pair in a name", `{"\ud83e":1}`, "a string has half a surrogate pair, such as a cut emoji leaves", 2},

		{"name twice", `{"a":1,"a":1}`, reasonTwice, 7},
		{"empty name twice", `{"":1,"":1}`, reasonTwice, 6},
		{"name twice, once escaped", `{"model":"a","\u006dodel":"b"}`, reasonTwice, 13},
		{"name twice in a message", `{"messages":[{"role":"user","content":"a","content":"b"}]}`, "messages[0]: " + reasonTwice, 42},
		{"name twice in arguments", `{"messages":[{"input":{"x":[{"a":1,"a":2}]}}]}`, "messages[0].input.x[0]: " + reasonTwice, 35},
		{"name twice among many", `{"x":{` + many(200, `"name7":1`) + `}}`, reasonTwice, -1},

		{"model in another case", `{"Model":"a"}`, "a name is written in another case than the API's", 1},
		{"stream in another case", `{"STREAM":true}`, "a name is written in another case than the API's", 1},
		{"a long s", `{"me\u017fsages":[]}`, "a name is written in another case than the API's", 1},
		{"content in another case", `{"messages":[{"Content":"a"}]}`, "messages[0]: a name is written in another case than the API's", 14},
		{"Gemini's name in lower case", `{"contents":[{"inlinedata":"a"}]}`, "contents[0]: a name is written in another case than the API's", 14},
		{"a tool's name in another case", `{"tools":[{"Name":"a"}]}`, "tools[0]: a name is written in another case than the API's", 11},
		{"usage in another case", `{"stream_options":{"Include_Usage":true}}`, "stream_options: a name is written in another case than the API's", 19},

		{"model of another type", `{"model":["a"]}`, "model is not a string", 9},
		{"model null", `{"model":null}`, "model is not a string", 9},
		{"stream of another type", `{"stream":"true"}`, "stream is neither true nor false", 10},
		{"stream as a number", `{"stream":1}`, "stream is neither true nor false", 10},
		{"stream options of another type", `{"stream_options":true}`, "stream_options is not an object", 18},
		{"include usage of another type", `{"stream_options":{"include_usage":{}}}`, "stream_options: include_usage is neither true nor false", 35},
		{"messages of another type", `{"messages":{"0":{"role":"user"}}}`, "messages is not an array", 12},
		{"messages null", `{"messages":null}`, "messages is not an array", 12},
		{"contents of another type", `{"contents":"text"}`, "contents is not an array", 12},
		{"input of another type", `{"input":{"text":"a"}}`, "input is neither a string nor an array", 9},
		{"tools of another type", `{"tools":{}}`, "tools is not an array", 9},

		{"too deep", `{"a":` + strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth) + `}`, "", -1},
		{"too many strings", `{"a":[` + strings.Repeat(`"x",`, maxSegments) + `"x"]}`, "a: the body has too many strings", -1},
		{"too many containers", `{"a":[` + strings.Repeat(`[[["x"]]],`, maxSegments/3) + `[]]}`, "", -1},
	} {
		t.Run(test.name, func(t *testing.T) {
			req, err := Parse(llmapi.ChatCompletions, []byte(test.body))
			var refusal *Error
			if !errors.As(err, &refusal) || req != nil {
				t.Fatalf("got %+v, %v", req, err)
			}
			if test.reason != "" && refusal.Reason != test.reason {
				t.Errorf("reason %q, want %q", refusal.Reason, test.reason)
			}
			if test.offset >= 0 && refusal.Offset != test.offset {
				t.Errorf("offset %d, want %d", refusal.Offset, test.offset)
			}
		})
	}
}

func TestError(t *testing.T) {
	_, err := Parse(llmapi.Messages, []byte(`{"messages":1}`))
	if want := "request body at byte 12: messages is not an array"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
