package inspect

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

// FuzzShape makes bodies of the names that mean something, in shapes that no API
// knows: their strings must be found nonetheless, and what they are may not
// depend on the order of members, which JSON leaves open.
func FuzzShape(f *testing.F) {
	random := rand.NewChaCha8([32]byte{1})
	for i := range 500 {
		choices := make([]byte, 300)
		random.Read(choices) // never fails
		f.Add(uint8(i), choices)
	}
	f.Fuzz(func(t *testing.T, number uint8, choices []byte) {
		api := llmapi.API(number % (uint8(llmapi.Files) + 1))
		g := generator{choices: choices}
		top := g.object(0)

		body := []byte(encode(top, false))
		req, err := Parse(api, body)
		if err != nil {
			checkRefusal(t, body, err)
			return
		}
		checkTop(t, req, body)
		checkSegments(t, req)
		checkStrings(t, req, body)

		reversed, err := Parse(api, []byte(encode(top, true)))
		if err != nil {
			t.Fatalf("refused in another order: %v", err)
		}
		if got, want := classes(reversed), classes(req); !slices.Equal(got, want) {
			t.Errorf("in another order:\n%q\nwant\n%q\nfor %s", got, want, body)
		}
	})
}

// classes lists the segments without regard to order and tools.
func classes(req *Request) []string {
	var all []string
	for _, s := range req.Segments {
		all = append(all, fmt.Sprintf("%d %d %s %s", s.Role, s.Kind, s.Text, s.Path()))
	}
	slices.Sort(all)
	return all
}

// generator makes a tree by choices until these run out.
type generator struct {
	choices []byte
	made    int
}

type (
	members []member
	member  struct {
		name  string
		value any // members, []any or a string of JSON
	}
)

func (g *generator) choose(n int) int {
	if len(g.choices) == 0 {
		return 0
	}
	c := int(g.choices[0])
	g.choices = g.choices[1:]
	return c % n
}

func (g *generator) object(depth int) members {
	var m members
	for range g.choose(7) {
		name := names[g.choose(len(names))]
		if !slices.ContainsFunc(m, func(other member) bool { return other.name == name }) {
			m = append(m, member{name, g.value(name, depth+1)})
		}
	}
	return m
}

func (g *generator) value(name string, depth int) any {
	shape := g.choose(8)
	switch name { // what else is refused
	case "messages", "contents", "tools", "functions":
		if depth == 1 {
			shape = 6
		}
	case "model":
		shape = 0
	case "stream", "stream_options", "include_usage":
		return "null"
	}
	switch {
	case shape >= 6 && depth < 8:
		var a []any
		for range g.choose(4) {
			a = append(a, g.value("", depth+1))
		}
		return a
	case shape >= 3 && depth < 8:
		return g.object(depth)
	case shape == 2:
		return [...]string{"null", "true", "false", "1", "-2.5e3"}[g.choose(5)]
	case name == "type" || name == "role":
		return strconv.Quote(words[g.choose(len(words))])
	default:
		g.made++
		return fmt.Sprintf("%q", [...]string{"text\n", "word"}[g.choose(2)]+strconv.Itoa(g.made))
	}
}

var names = strings.Fields(`messages contents input system instructions prompt tools functions mcp_servers model stream
	stream_options include_usage role type id call_id tool_use_id name content parts text source data url image_url
	media_type thinking reasoning signature thought arguments args action output response functionResponse results
	function custom functionCall function_call functionDeclarations server_label headers description title metadata
	unknown un$known tool_calls summary generationConfig prediction`)

var words = strings.Fields(`user assistant system developer tool function model nobody text thinking reasoning tool_use
	tool_result function_call function_call_output mcp_list_tools document`)

// encode writes v as JSON.
func encode(v any, reverse bool) string {
	var parts []string
	switch v := v.(type) {
	case members:
		for _, m := range v {
			parts = append(parts, strconv.Quote(m.name)+":"+encode(m.value, reverse))
		}
		if reverse {
			slices.Reverse(parts)
		}
		return "{" + strings.Join(parts, ",") + "}"
	case []any:
		for _, inner := range v {
			parts = append(parts, encode(inner, reverse))
		}
		return "[" + strings.Join(parts, ",") + "]"
	default:
		return v.(string)
	}
}
