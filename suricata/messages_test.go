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

// upgrade asks for WebSocket, switching agrees.
func upgrade() turn {
	return request("GET", "/", "", "Host: localhost:18789", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
}

func switching() turn {
	return answers("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
}

// frame is a text frame of a server, of up to 125 bytes.
func frame(text string) string { return string([]byte{0x81, byte(len(text))}) + text }

// clientFrame is a text frame of a client, masked as a client has to, of up to 65535
// bytes.
func clientFrame(text string) string {
	mask := []byte{0x1f, 0x2e, 0x3d, 0x4c}
	header := []byte{0x81}
	if len(text) <= 125 {
		header = append(header, 0x80|byte(len(text)))
	} else {
		header = binary.BigEndian.AppendUint16(append(header, 0x80|126), uint16(len(text)))
	}
	masked := []byte(text)
	for i := range masked {
		masked[i] ^= mask[i%len(mask)]
	}
	return string(header) + string(mask) + string(masked)
}

// call is a WebSocket connection to the gateway that asks for one thing.
func call(message string) traffic {
	return connection(18789, upgrade(), switching(), answers(frame(`{"type":"event","event":"connect.challenge"}`)), says(clientFrame(message)))
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
