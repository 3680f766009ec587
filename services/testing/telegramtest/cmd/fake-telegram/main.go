// Command fake-telegram is a local Telegram Bot API server that delivers to
// nobody: for the demo, for benchmarks and for tests of containers.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/openclaw-security/bus/services/testing/telegramtest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "fake-telegram:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("fake-telegram", flag.ContinueOnError)
	flags.SetOutput(stderr)
	listen := flags.String("listen", "127.0.0.1:8081", "`address` to serve; port 0 takes a free one")
	token := flags.String("token", telegramtest.Token, "`token` of the bot")
	chat := flags.Int64("chat", 0, "`id` of the only chat, a group if it is negative; by default there is one of each type")
	script := flags.String("script", "", "`file` of faults, see the package's documentation")
	unlimited := flags.Bool("unlimited", false, "no flood limits")
	show := flags.Bool("show", false, "print each message as a person would see it")
	if err := flags.Parse(args); err != nil {
		return err
	}
	cfg := telegramtest.Config{Token: *token, Unlimited: *unlimited}
	if *chat != 0 {
		cfg.Chats = []telegramtest.Chat{{ID: *chat, Type: "private", Title: "Owner"}}
		if *chat < 0 {
			cfg.Chats[0].Type, cfg.Chats[0].Title = "group", "Group"
		}
	}
	if *show {
		cfg.Show = stdout
	}
	server := telegramtest.New(cfg)
	if *script != "" {
		text, err := os.ReadFile(*script)
		if err != nil {
			return fmt.Errorf("reading the script: %w", err)
		}
		if err := server.Script(string(text)); err != nil {
			return fmt.Errorf("reading the script %s: %w", *script, err)
		}
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", *listen)
	if err != nil {
		return fmt.Errorf("opening the address: %w", err)
	}
	fmt.Fprintf(stdout, "listening on http://%s\n", l.Addr())
	return server.Serve(ctx, l)
}
