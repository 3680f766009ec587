package limit

import (
	"errors"
	"net"
	"net/http"
	"os"
	"runtime"
	"testing"
	"time"
)

// fakeConn is a connection from an address.
type fakeConn struct {
	net.Conn
	from   string
	closed bool
}

func (c *fakeConn) Close() error         { c.closed = true; return nil }
func (c *fakeConn) RemoteAddr() net.Addr { return addr(c.from) }

type addr string

func (a addr) Network() string { return "tcp" }
func (a addr) String() string  { return string(a) }

func TestConnections(t *testing.T) {
	const a, b, c = "10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"
	tests := []struct {
		name    string
		open    []string // in order; with a * at the end, it has a request
		from    string
		refused bool
		closed  int // of open, -1 for none
	}{
		{"room", []string{a, a}, a, false, -1},
		{"the client's are too many", []string{b, a, a, a}, a, false, 1},
		{"the first without a request goes", []string{a + "*", a, a}, a, false, 1},
		{"all of the client's have requests", []string{a + "*", a + "*", a + "*", b}, a, true, -1},
		{"too many in sum", []string{b, a, a, a, b}, c, false, 1},
		{"too many in sum, of the largest all have requests", []string{a + "*", a + "*", a + "*", b, b}, c, false, 3},
		{"too many in sum, the largest has few without", []string{a, a + "*", a + "*", b, b}, c, false, 3},
		{"too many in sum, and all have requests", []string{a + "*", a + "*", b + "*", b + "*", b + "*"}, c, true, -1},
		{"neighbors in IPv6", []string{"[2001:db8::1]:1", "[2001:db8::2]:1", "[2001:db8::3]:1"}, "[2001:db8::4]:1", false, 0},
		{"strangers in IPv6", []string{"[2001:db8:1::1]:1", "[2001:db8:2::1]:1", "[2001:db8:3::1]:1"}, "[2001:db8:4::1]:1", false, -1},
		{"IPv4 in IPv6", []string{"[::ffff:10.0.0.1]:1", a, a}, a, false, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bound := NewConnections(5, 3, nil)
			var conns []*fakeConn
			for _, from := range tt.open {
				busy := from[len(from)-1] == '*'
				conn := &fakeConn{from: from}
				if busy {
					conn.from = from[:len(from)-1]
				}
				if !bound.admit(conn) {
					t.Fatalf("%s refused", from)
				}
				bound.State(conn, http.StateNew)
				if busy {
					bound.State(conn, http.StateActive)
				}
				conns = append(conns, conn)
			}
			if got := bound.admit(&fakeConn{from: tt.from}); got == tt.refused {
				t.Errorf("admitted %t", got)
			}
			for i, conn := range conns {
				if conn.closed != (i == tt.closed) {
					t.Errorf("connection %d closed: %t", i, conn.closed)
				}
			}
		})
	}
}

// A request that waits to be read keeps its connection, also the oldest.
func TestConnectionsWithUnreadRequests(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	accepting := NewConnections(2, 2, nil).Listener(listener)
	connect := func(request string) (client, server net.Conn) {
		t.Helper()
		client, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { client.Close() })
		if _, err := client.Write([]byte(request)); err != nil {
			t.Fatal(err)
		}
		if server, err = accepting.Accept(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { server.Close() })
		return client, server
	}
	_, asking := connect("GET / HTTP/1.1\r\n")
	for !unread(asking) {
		runtime.Gosched() // on its way
	}
	silent, _ := connect("")
	connect("")
	if err := silent.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if n, err := silent.Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the silent connection is open: %d, %v", n, err)
	}
	if n, err := asking.Read(make([]byte, 3)); n != 3 || err != nil {
		t.Errorf("the connection with a request is closed: %d, %v", n, err)
	}
}

func TestConnectionsAreForgotten(t *testing.T) {
	bound := NewConnections(3, 3, nil)
	var conns []*fakeConn
	for range 3 {
		conn := &fakeConn{from: "10.0.0.1:1"}
		bound.admit(conn)
		bound.State(conn, http.StateActive)
		conns = append(conns, conn)
	}
	bound.State(conns[1], http.StateIdle)
	bound.State(conns[0], http.StateIdle)
	bound.admit(&fakeConn{from: "10.0.0.1:1"})
	if !conns[1].closed || conns[0].closed {
		t.Error("the one that has been idle for longest is not the one that went")
	}
	bound.State(conns[1], http.StateClosed) // as the server does then
	if open, idle := bound.Count(); open != 3 || idle != 2 {
		t.Errorf("%d open, %d idle", open, idle)
	}
	for conn := range bound.open {
		bound.State(conn, http.StateClosed)
	}
	if open, idle := bound.Count(); open != 0 || idle != 0 || len(bound.clients) != 0 {
		t.Errorf("%d open, %d idle, %d clients", open, idle, len(bound.clients))
	}
}

// A server whose connections are all taken by silent ones still serves.
func TestIdleConnectionsMakeRoom(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	bound := NewConnections(8, 8, func() { refused++ })
	server := &http.Server{
		Handler:   http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }),
		ConnState: bound.State,
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(bound.Listener(l)) }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for range 5 {
		for range 20 {
			conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
		}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+l.Addr().String(), nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
	}
	if open, _ := bound.Count(); open > 8 {
		t.Errorf("%d connections", open)
	}
	server.Close()
	<-served
	if refused != 0 {
		t.Errorf("%d refused", refused)
	}
}
