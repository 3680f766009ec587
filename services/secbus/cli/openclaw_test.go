package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOpenClaw(t *testing.T) {
	s := newSession(t, "LLM_API_PROVIDER=openai", "LLM_GEMINI_API_KEY=x", "LLM_UPSTREAMS=groq=https://api.groq.com/openai/v1, openai:no-stream-options, spare=http://spare")
	file, undo, token := filepath.Join(s.dir, "openclaw.json"), filepath.Join(s.dir, "undo"), filepath.Join(s.dir, "token")
	const before = "{\n  // mine\n  \"agents\": { \"defaults\": { \"model\": { \"primary\": \"openai/gpt-5.6\", \"fallbacks\": [\"groq/llama\"] } } },\n  \"env\": { \"OPENAI_API_KEY\": \"sk-x\" }\n}\n"
	for name, text := range map[string]string{file: before, token: "a-token-of-the-client\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(want int, says string, args ...string) {
		t.Helper()
		code, stdout, stderr := s.run(t.Context(), append([]string{"openclaw"}, args...)...)
		if code != want || !strings.Contains(string(stdout)+string(stderr), says) {
			t.Errorf("%q: exit code %d, want %d and %q:\n%s%s", args, code, want, says, stdout, stderr)
		}
	}
	configure := []string{"configure", "--file", file, "--undo", undo, "--proxy", "http://proxy:8080", "--version", "2026.9.4", "--client-token-file", token}
	run(exitOK, "goes through the proxy now", configure...)
	run(exitOK, "the proxy also has spare", configure...)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"// mine", `"http://proxy:8080/v1"`, `"http://proxy:8080/v1beta"`, `"http://proxy:8080/up/groq/v1"`, `"id": "llama"`, `"a-token-of-the-client"`, `"primary": "openai/gpt-5.6"`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	run(exitOK, "goes through the proxy already", configure...)
	run(exitMissing, "openclaw.json: env.OPENAI_API_KEY", "keys", s.dir)
	run(exitOK, "is as it was", "restore", "--file", file, "--undo", undo)
	if text, err := os.ReadFile(file); err != nil || string(text) != before {
		t.Errorf("restored to %q, %v", text, err)
	}
	run(exitOK, "has nothing of ours", "restore", "--file", file, "--undo", undo)

	if err := os.WriteFile(file, []byte("{ models: {} }"), 0o600); err != nil {
		t.Fatal(err)
	}
	run(exitFailed, `"baseUrl": "http://proxy:8080/v1"`, configure...)
	run(exitOK, `"baseUrl": "http://127.0.0.1:8080"`, "configure", "--print", "--provider", "anthropic")
	run(exitFailed, "is not the name of an upstream", "configure", "--print", "--provider", "anthropic", "--upstream", "a/b")
	run(exitFailed, "--proxy", "configure", "--proxy", "proxy:8080", "--file", file)
}
