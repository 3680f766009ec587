package suricata

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
)

// request is an HTTP request with the given headers, "Name: value" each.
func request(method, target, body string, headers ...string) turn {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", method, target)
	for _, h := range headers {
		b.WriteString(h + "\r\n")
	}
	if body != "" {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(body))
	}
	b.WriteString("\r\n" + body)
	return says(b.String())
}

// response is an HTTP response with status 200.
func response(contentType, body string) turn {
	return answers(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", contentType, len(body), body))
}

// get is a whole exchange: a GET request and a harmless answer.
func get(port uint16, target string, headers ...string) traffic {
	return connection(port, request("GET", target, "", headers...), response("text/plain", "ok"))
}

// post is a whole exchange: a POST request and a harmless answer.
func post(port uint16, target, body string, headers ...string) traffic {
	return connection(port, request("POST", target, body, headers...), response("text/plain", "ok"))
}

// lookup is a DNS query for an address.
func lookup(name string) traffic {
	query := []byte{0x12, 0x34, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0}
	for label := range strings.SplitSeq(name, ".") {
		query = append(query, byte(len(label)))
		query = append(query, label...)
	}
	query = append(query, 0)
	query = binary.BigEndian.AppendUint16(query, 1) // type A
	query = binary.BigEndian.AppendUint16(query, 1) // class IN
	return datagram(53, query)
}

// handshake is a TLS connection to the named server, as far as the ClientHello.
func handshake(serverName string) traffic {
	var hello helloRecorder
	// The handshake fails, as nobody answers; what it said first is what counts.
	_ = tls.Client(&hello, &tls.Config{ServerName: serverName}).Handshake()
	return connection(443, says(hello.sent.String()))
}

// helloRecorder is a connection that keeps what is written and ends at the
// first read.
type helloRecorder struct {
	net.Conn
	sent bytes.Buffer
}

func (r *helloRecorder) Write(p []byte) (int, error) { return r.sent.Write(p) }
func (r *helloRecorder) Read([]byte) (int, error)    { return 0, io.EOF }
func (r *helloRecorder) Close() error                { return nil }
