package daemon

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/openclaw-security/bus/services/internal/config"
)

func TestProgramHealth(t *testing.T) {
	ready := NewReadiness()
	admin, err := ListenAdmin(t.Context(), config.Admin{Addr: "127.0.0.1:0"}, prometheus.NewRegistry(), ready, Discard().Log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- admin.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	_, port, err := net.SplitHostPort(admin.Addr())
	if err != nil {
		t.Fatal(err)
	}
	program := Program[sampleConfig]{Name: "sample", Run: func(context.Context, sampleConfig, Runtime) error {
		return errors.New("the service itself must not be started")
	}}
	for _, step := range []struct {
		name           string
		change         func()
		environ        []string
		code           int
		stdout, stderr string
	}{
		{"nothing reported", func() {}, []string{"ADMIN_ADDR=127.0.0.1:" + port}, exitFailed, "nothing has been reported", "not ready"},
		{"ready", func() { ready.Set("nats", nil) }, []string{"ADMIN_ADDR=127.0.0.1:" + port}, exitOK, "ok nats", ""},
		{"on every address", func() {}, []string{"ADMIN_ADDR=:" + port, "ADMIN_ALLOW_REMOTE=true"}, exitOK, "ok nats", ""},
		{"through a proxy that the environment names", func() {}, []string{"ADMIN_ADDR=127.0.0.1:" + port, "HTTP_PROXY=http://127.0.0.1:1"}, exitOK, "ok nats", ""},
		{"not ready", func() { ready.Set("nats", errors.New("no answer")) }, []string{"ADMIN_ADDR=127.0.0.1:" + port}, exitFailed, "not ready nats: no answer", "not ready"},
		{"no process", cancel, []string{"ADMIN_ADDR=127.0.0.1:1"}, exitFailed, "", "asking the process"},
		{"switched off", func() {}, []string{"ADMIN_ADDR="}, exitFailed, "", "set ADMIN_ADDR"},
		{"wrong setting", func() {}, []string{"ADMIN_ADDR=nowhere"}, exitConfig, "", "ADMIN_ADDR"},
	} {
		step.change()
		code, stdout, stderr := start(t, program, []string{"--health"}, step.environ, nil)
		if code != step.code || !strings.Contains(stdout, step.stdout) || !strings.Contains(stderr, step.stderr) {
			t.Errorf("%s: exit code %d, printed %q, %q", step.name, code, stdout, stderr)
		}
	}
}
