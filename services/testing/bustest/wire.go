package bustest

import (
	"io"
	"net"
	"sync"
	"testing"

	"github.com/openclaw-security/bus/services/internal/bus"
)

// Wire is a connection whose wire the test holds in its hands.
type Wire struct {
	*bus.Conn
	server string

	mu    sync.Mutex
	ends  []net.Conn
	muted bool
}

// Wire connects as a role through a relay until the test ends.
func (b *Bus) Wire(t testing.TB, role string) *Wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listening for the relay: %v", err)
	}
	w := &Wire{server: b.listen}
	var relays sync.WaitGroup
	relays.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			relays.Go(func() { w.relay(client) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		w.Cut()
		relays.Wait()
	})
	w.Conn = b.connect(t, "nats://"+l.Addr().String(), role)
	return w
}

// Mute loses all that the server says from now on until the next Cut.
func (w *Wire) Mute() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.muted = true
}

// Cut breaks the connection; the client may connect anew.
func (w *Wire) Cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.ends {
		c.Close()
	}
	w.ends, w.muted = nil, false
}

func (w *Wire) relay(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", w.server)
	if err != nil {
		return // the client sees the end of its connection
	}
	defer server.Close()
	w.mu.Lock()
	w.ends = append(w.ends, client, server)
	w.mu.Unlock()
	var up sync.WaitGroup
	up.Go(func() {
		_, _ = io.Copy(server, client)
		server.Close()
	})
	_, _ = io.Copy(listener{w, client}, server)
	client.Close()
	up.Wait()
}

// listener is the client's end, which hears nothing while the wire is muted.
type listener struct {
	wire *Wire
	to   io.Writer
}

func (l listener) Write(p []byte) (int, error) {
	l.wire.mu.Lock()
	muted := l.wire.muted
	l.wire.mu.Unlock()
	if muted {
		return len(p), nil
	}
	return l.to.Write(p)
}
