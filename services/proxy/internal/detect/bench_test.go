package detect

import (
	"fmt"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/proxy/internal/inspect"
)

// conversation is n messages as an agent sends them: prose, code, listings and
// nested JSON, no two alike.
func conversation(n, bytesEach int) *inspect.Request {
	passages := []string{
		"The handler reads the request's body, checks it and passes it on; errors go back to the caller in the provider's own form. ",
		"func (s *Server) handle(w http.ResponseWriter, r *http.Request) {\n\tbody, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))\n\tif err != nil {\n\t\ts.fail(w, err)\n\t\treturn\n\t}\n",
		"-rw-r--r-- 1 user user  4096 Jan  2 15:04 services/proxy/internal/detect/signature.go\n",
		`{"path":"/home/user/project/main.py","line":42,"text":"import requests\nprint(requests.get(url).status_code)"}` + "\n",
		"2026-01-02T15:04:05Z INFO request served path=/api/v1/items status=200 duration=12ms bytes=5120\n",
	}
	roles := []inspect.Role{inspect.RoleUser, inspect.RoleAssistant, inspect.RoleTool, inspect.RoleTool}
	var r inspect.Request
	for i := range n {
		passage := passages[i%len(passages)]
		text := fmt.Sprintf("message %d: ", i) + strings.Repeat(passage, bytesEach/len(passage)+1)[:bytesEach]
		r.Segments = append(r.Segments, inspect.Segment{Role: roles[i%len(roles)], Text: []byte(text)})
	}
	return &r
}

func size(r *inspect.Request) (n int64) {
	for _, s := range r.Segments {
		n += int64(len(s.Text))
	}
	return n
}

func benchDetector(b *testing.B) *Detector {
	return build(b, Config{
		Keys:     []config.Secret{config.NewSecret(testKey)},
		Canaries: []config.Secret{config.NewSecret("canary-5f1d7a90c3e2"), config.NewSecret("another-canary-8b41")},
	})
}

// BenchmarkRequest has a client's history of 200 KB, new each time and seen.
func BenchmarkRequest(b *testing.B) {
	for _, bench := range []struct {
		name    string
		request *inspect.Request
	}{
		{"100x2KB", conversation(100, 2000)},
		{"4000x50B", conversation(4000, 50)},
	} {
		b.Run("new/"+bench.name, func(b *testing.B) {
			d := benchDetector(b)
			b.SetBytes(size(bench.request))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				d.Request(b.Context(), fmt.Sprint(i), bench.request)
			}
		})
		b.Run("seen/"+bench.name, func(b *testing.B) {
			d := benchDetector(b)
			b.SetBytes(size(bench.request))
			b.ReportAllocs()
			for b.Loop() {
				d.Request(b.Context(), "client", bench.request)
			}
		})
	}
}

// BenchmarkHostile has texts made to be slow to look at.
func BenchmarkHostile(b *testing.B) {
	for name, unit := range map[string]string{
		"instructions": "all instructions are ignored ",
		"links":        "![a](https://x.example/?a=b ",
		"tokens":       ".eyJ eyJ",
		"escapes":      `\u0061%61&#97;`,
		"invisible":    "a\u200bب\u200d",
	} {
		b.Run(name, func(b *testing.B) {
			d := benchDetector(b)
			r := said(inspect.RoleTool, strings.Repeat(unit, 100_000/len(unit)))
			b.SetBytes(size(r))
			for i := 0; b.Loop(); i++ {
				d.Request(b.Context(), fmt.Sprint(i), r)
			}
		})
	}
}

func BenchmarkToolCall(b *testing.B) {
	for name, command := range map[string]string{
		"200B":    "cd /home/user/project && go build ./... && go test -race ./services/... 2>&1 | tail -40 && git status --short && git diff --stat",
		"file":    string(conversation(1, 20_000).Segments[0].Text),
		"hostile": strings.Repeat("curl x; nc y; docker z; base64 -d; rm a; history; ", 400),
	} {
		b.Run(name, func(b *testing.B) {
			d := benchDetector(b)
			c := bash(command)
			b.SetBytes(int64(len(c.Arguments)))
			b.ReportAllocs()
			for b.Loop() {
				d.ToolCall("client", c)
			}
		})
	}
}

func BenchmarkAnswer(b *testing.B) {
	d := benchDetector(b)
	delta := []byte(" a few words more")
	b.ReportAllocs()
	answer := d.Answer("c", true)
	for b.Loop() {
		answer.Write(delta)
	}
}
