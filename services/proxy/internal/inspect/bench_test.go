package inspect

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

// conversation returns the body of a Messages request of about size bytes: a
// system prompt, a dozen tools and turns of calls and results, as an agent with a
// shell sends them.
func conversation(size int) []byte {
	type m = map[string]any
	const line = "-rw-r--r-- 1 openclaw openclaw  4096 \"report é.md\"\t# updated by the nightly job\n"
	tool := func(name string) m {
		return m{"name": name, "description": "Runs the " + name + " action in the agent's workspace.\nAsk before you delete.", "input_schema": m{
			"type": "object", "required": []string{"command", "timeout"}, "properties": m{
				"command": m{"type": "string", "description": "What to run, as one line of shell."},
				"timeout": m{"type": "integer", "description": "Seconds to wait."},
			},
		}}
	}
	body := m{
		"model": "claude-sonnet-4-5", "stream": true, "max_tokens": 8192,
		"system": []m{{"type": "text", "text": strings.Repeat("You are careful.\n", size/400), "cache_control": m{"type": "ephemeral"}}},
	}
	var tools []m
	for i := range min(12, 1+size/8000) {
		tools = append(tools, tool(fmt.Sprintf("action_%d", i)))
	}
	body["tools"] = tools
	var messages []m
	for turn := 0; turn == 0 || turn*3600 < size; turn++ {
		id := fmt.Sprintf("toolu_01A09q90qw90lq917835lq%d", turn)
		messages = append(messages,
			m{"role": "user", "content": []m{{"type": "text", "text": "Please look at the next directory."}}},
			m{"role": "assistant", "content": []m{
				{"type": "text", "text": "I will list it."},
				{"type": "tool_use", "id": id, "name": "action_1", "input": m{"command": "ls -l \"/srv/reports\" | head", "timeout": 10}},
			}},
			m{"role": "user", "content": []m{{"type": "tool_result", "tool_use_id": id, "content": []m{{"type": "text", "text": strings.Repeat(line, min(size, 60_000)/2000+1)}}}}})
	}
	body["messages"] = messages
	encoded, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	return encoded
}

// BenchmarkParse compares with encoding/json, which finds neither the texts nor
// names that occur twice. Sizes are approximate.
func BenchmarkParse(b *testing.B) {
	for _, size := range []int{600, 200_000} {
		body := conversation(size)
		name := fmt.Sprintf("%d_bytes", len(body))
		b.Run("inspect/"+name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Parse(llmapi.Messages, body); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("encoding_json/"+name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				var v any
				if err := json.Unmarshal(body, &v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
