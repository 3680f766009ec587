package bus

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

// What a connection has sent and its server has not received is dropped when it is
// closed: the server gets a reset after what it has received.
func TestAClosedConnectionSendsNoMore(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := dialer{}.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	// Until the server's machine takes no more, and the rest waits here.
	sent, block := 0, make([]byte, 1<<20)
	for {
		if err := client.SetWriteDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		n, err := client.Write(block)
		sent += n
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := client.Close(); err != nil {
		t.Fatal(err)
	}
	received, err := io.Copy(io.Discard, server)
	if !errors.Is(err, syscall.ECONNRESET) || received >= int64(sent) {
		t.Errorf("%d of %d bytes are received, then %v", received, sent, err)
	}
}
