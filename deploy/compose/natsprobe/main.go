// Command natsprobe is the health check of the container in which nats-server
// runs, where there is no shell and no other program: it asks the server's
// monitoring address, on loopback, whether JetStream works. The exit code is 0 if
// it does.
package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

const (
	// address is natsconf.MonitorAddr. It is written out because this program
	// stays small by importing nothing.
	address = "127.0.0.1:8222"
	// js-enabled-only asks about JetStream and not about each stream: one that is
	// being caught up with is no reason to call the server ill.
	question = "http://" + address + "/healthz?js-enabled-only=true"

	patience = 4 * time.Second
	maxBytes = 4 << 10
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := ask(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "natsprobe:", err)
		os.Exit(1)
	}
}

// ask prints the server's answer and returns an error unless it is that all is
// well.
func ask(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, question, nil)
	if err != nil {
		return fmt.Errorf("preparing the question: %w", err)
	}
	response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	if err != nil {
		return fmt.Errorf("asking the server: %w", err)
	}
	defer response.Body.Close()
	if _, err := io.Copy(os.Stdout, io.LimitReader(response.Body, maxBytes)); err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the server answers %s", response.Status)
	}
	return nil
}
