package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/openclaw-security/bus/services/internal/config"
)

const (
	healthWait     = 4 * time.Second // for the process's answer
	maxHealthBytes = 8 << 10         // of it that is shown
)

// health asks the program's running process, by its own ADMIN_ADDR, whether it
// can do its work, and prints what it says: the check for a container in which
// there is no shell and no other program.
func (p Program[C]) health(proc process) int {
	var cfg config.Admin
	if err := config.Load(&cfg, proc.environ); err != nil {
		fmt.Fprintf(proc.stderr, "%s: %v\n", p.Name, err)
		return exitConfig
	}
	ctx, cancel := context.WithTimeout(context.Background(), healthWait)
	defer cancel()
	text, err := askReady(ctx, cfg)
	fmt.Fprint(proc.stdout, text)
	if err != nil {
		fmt.Fprintf(proc.stderr, "%s: %v\n", p.Name, err)
		return exitFailed
	}
	return exitOK
}

// askReady returns what /readyz says, and an error unless that is yes.
func askReady(ctx context.Context, cfg config.Admin) (string, error) {
	if cfg.Addr == "" {
		return "", errors.New("there is no admin address to ask: set ADMIN_ADDR")
	}
	host, port, err := net.SplitHostPort(cfg.Addr)
	if err != nil {
		return "", fmt.Errorf("reading ADMIN_ADDR: %w", err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/readyz", nil)
	if err != nil {
		return "", fmt.Errorf("preparing the question: %w", err)
	}
	// Whatever proxy the environment names is not for this.
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return "", fmt.Errorf("asking the process: %w", err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxHealthBytes))
	if err != nil {
		return string(text), fmt.Errorf("reading the answer: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return string(text), errors.New("not ready")
	}
	return string(text), nil
}
