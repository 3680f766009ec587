package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("500\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	read, write := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{"-listen", "127.0.0.1:0", "-token", "1:a", "-chat", "-5", "-script", script, "-show"}, write, io.Discard)
		write.Close()
	}()
	lines := bufio.NewScanner(read)
	if !lines.Scan() {
		t.Fatalf("nothing was printed: %v", <-ended)
	}
	base := strings.TrimPrefix(lines.Text(), "listening on ")
	shown := make(chan string, 1)
	go func() {
		rest, _ := io.ReadAll(read)
		shown <- string(rest)
	}()
	for _, want := range []int{500, 200} {
		response, err := http.PostForm(base+"/bot1:a/sendMessage", url.Values{"chat_id": {"-5"}, "text": {"hello"}})
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("status %d, want %d", response.StatusCode, want)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if got := <-shown; !strings.Contains(got, "hello") {
		t.Errorf("printed %q", got)
	}
}

func TestRunRefuses(t *testing.T) {
	for name, args := range map[string][]string{
		"unknown flag":   {"-fly"},
		"no such script": {"-script", filepath.Join(t.TempDir(), "none")},
		"no address":     {"-listen", "nowhere"},
	} {
		if err := run(t.Context(), args, io.Discard, io.Discard); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
