package bus_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/openclaw-security/bus/services/internal/bus"
)

// TestConnectsOnlyWhereItIsTold: a server that names others does not lead its clients
// there.
func TestConnectsOnlyWhereItIsTold(t *testing.T) {
	listen := func() net.Listener {
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return l
	}
	trap, server := listen(), listen()
	var trapped atomic.Bool
	go func() {
		for {
			c, err := trap.Accept()
			if err != nil {
				return
			}
			trapped.Store(true)
			c.Close()
		}
	}()
	again := make(chan struct{})
	go func() {
		for n := 1; ; n++ {
			c, err := server.Accept()
			if err != nil {
				return
			}
			_, _ = fmt.Fprintf(c, `INFO {"server_id":"x","version":"2.15.2","headers":true,"max_payload":1048576,"proto":1,"connect_urls":[%q]}`+"\r\n", trap.Addr())
			for lines := bufio.NewScanner(c); lines.Scan(); {
				if strings.HasPrefix(lines.Text(), "PING") {
					_, _ = io.WriteString(c, "PONG\r\n")
					break
				}
			}
			c.Close() // each client has to connect again
			if n == 4 {
				close(again)
				return
			}
		}
	}()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	conn, err := bus.Connect(ctx, bus.Options{URL: "nats://" + server.Addr().String(), Role: "x"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	<-again
	if trapped.Load() {
		t.Error("the client went where the server sent it")
	}
}
