package limit

import (
	"container/list"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Connections bounds the connections of a server: it wraps the listener, and is
// told by the server what becomes of each.
//
//	server := &http.Server{ConnState: c.State}
//	server.Serve(c.Listener(l))
//
// Where a new connection is one too many, the one that has been without a request
// for longest is closed, of the same client if the client has too many, else of
// the client that has the most without one; if all have requests, the new one is
// closed. A request that has arrived counts, though nobody has read it yet: where many
// connections come at once, the server is behind.
type Connections struct {
	total, client int
	onRefused     func()

	mu      sync.Mutex
	open    map[net.Conn]*connection
	clients map[netip.Prefix]*clientConns
}

// connection is one of a client's.
type connection struct {
	client *clientConns
	idle   *list.Element // in client.idle; nil while it has a request
}

// clientConns are the connections of one client: of one IPv4 address, or of 2⁶⁴
// IPv6 addresses, which are what one machine may well have.
type clientConns struct {
	prefix netip.Prefix
	count  int
	idle   list.List // of net.Conn, idle for longest first
}

// NewConnections returns a bound of total connections, and of client for each
// client. onRefused is called for each that is closed at once; it may be nil.
func NewConnections(total, client int, onRefused func()) *Connections {
	return &Connections{
		total: total, client: client, onRefused: onRefused,
		open:    make(map[net.Conn]*connection),
		clients: make(map[netip.Prefix]*clientConns),
	}
}

// Count returns how many connections there are, and how many of them have no request.
func (c *Connections) Count() (open, idle int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, client := range c.clients {
		idle += client.idle.Len()
	}
	return len(c.open), idle
}

// Listener returns l with the bound.
func (c *Connections) Listener(l net.Listener) net.Listener { return &listener{l, c} }

type listener struct {
	net.Listener
	bound *Connections
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil || l.bound.admit(conn) {
			return conn, err
		}
		_ = conn.Close()
		if l.bound.onRefused != nil {
			l.bound.onRefused()
		}
	}
}

// admit makes room for conn and reports whether there is any.
func (c *Connections) admit(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	prefix := clientOf(conn.RemoteAddr())
	client := c.clients[prefix]
	if client == nil {
		client = &clientConns{prefix: prefix}
	}
	switch {
	case client.count >= c.client:
		if !c.reclaim(client) {
			return false
		}
	case len(c.open) >= c.total:
		if !c.reclaim(c.idlest()) {
			return false
		}
	}
	c.clients[prefix] = client
	client.count++
	c.open[conn] = &connection{client: client, idle: client.idle.PushBack(conn)}
	return true
}

// reclaim closes the connection of client that has been idle for longest.
func (c *Connections) reclaim(client *clientConns) bool {
	if client == nil {
		return false
	}
	at := client.idle.Front()
	for range maxUnread {
		if at == nil {
			return false
		}
		if conn := at.Value.(net.Conn); !unread(conn) {
			c.forget(conn)
			_ = conn.Close() // the server notices
			return true
		}
		at = at.Next()
	}
	return false
}

// maxUnread is how many connections of a client are asked for what they have unread.
const maxUnread = 512

// unread reports whether something has arrived on a connection that nobody has read.
func unread(conn net.Conn) bool {
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return false
	}
	n := 0
	err = raw.Control(func(fd uintptr) {
		n, _, _ = unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT)
	})
	return err == nil && n > 0
}

// idlest is the client with the most idle connections, nil if there are none. How
// many it has in all does not count: one with many requests needs some that are
// idle for a moment. Clients are no more than connections are.
func (c *Connections) idlest() *clientConns {
	var most *clientConns
	for _, client := range c.clients {
		if client.idle.Len() > 0 && (most == nil || client.idle.Len() > most.idle.Len()) {
			most = client
		}
	}
	return most
}

func (c *Connections) forget(conn net.Conn) {
	known := c.open[conn]
	if known == nil {
		return
	}
	delete(c.open, conn)
	client := known.client
	if known.idle != nil {
		client.idle.Remove(known.idle)
	}
	if client.count--; client.count == 0 {
		delete(c.clients, client.prefix)
	}
}

// State is to be an [http.Server]'s ConnState. A connection that has not sent a
// request's whole header yet counts as idle.
func (c *Connections) State(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.open[conn]
	if known == nil {
		return
	}
	switch state {
	case http.StateActive:
		if known.idle != nil {
			known.client.idle.Remove(known.idle)
			known.idle = nil
		}
	case http.StateIdle:
		if known.idle == nil {
			known.idle = known.client.idle.PushBack(conn)
		}
	case http.StateClosed, http.StateHijacked:
		c.forget(conn)
	}
}

// clientOf is whom a connection counts for.
func clientOf(addr net.Addr) netip.Prefix {
	a, err := netip.ParseAddrPort(addr.String())
	if err != nil {
		return netip.Prefix{} // not of a network: all together
	}
	ip, bits := a.Addr().Unmap().WithZone(""), 32
	if ip.Is6() {
		bits = 64
	}
	prefix, _ := ip.Prefix(bits) // fails for other numbers of bits only
	return prefix
}
