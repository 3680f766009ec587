// Command fake-llm runs the stand-in for the model providers as a process, for
// benchmarks and container tests. It prints its URL and serves until it is asked
// to stop.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/openclaw-security/bus/services/testing/llmtest"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "fake-llm:", err)
		os.Exit(1)
	}
}

func run() error {
	addr := flag.String("listen", "127.0.0.1:0", "address (host:port) to serve; port 0 takes a free one")
	key := flag.String("key", llmtest.Key, "API key that requests must present")
	flag.Parse()
	if flag.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flag.Arg(0))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", *addr)
	if err != nil {
		return err
	}
	fmt.Println("http://" + l.Addr().String())
	return llmtest.New(llmtest.Config{Key: *key, Unrecorded: true}).Serve(ctx, l)
}
