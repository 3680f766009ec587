package llmtest

import (
	"net/http"
	"strings"
	"sync"
)

// Bounds of what a [Server] remembers.
const (
	maxRecorded      = 256
	maxRecordedBytes = 64 << 20
)

// Request is one request as it arrived. It may not be changed.
type Request struct {
	Method   string
	Path     string // as it stood on the wire, escapes and all
	RawQuery string
	Host     string
	Header   http.Header
	Body     []byte // what of it arrived, at most 32 MiB
}

// record is the latest requests.
type record struct {
	mu       sync.Mutex
	requests []Request
	bytes    int // in bodies
}

func (c *record) add(r *http.Request, body []byte) {
	path, query, _ := strings.Cut(r.RequestURI, "?")
	if r.RequestURI == "" { // called as a handler, without a server
		path, query = r.URL.EscapedPath(), r.URL.RawQuery
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests = append(c.requests, Request{
		Method:   r.Method,
		Path:     path,
		RawQuery: query,
		Host:     r.Host,
		Header:   r.Header.Clone(),
		Body:     body,
	})
	c.bytes += len(body)
	for len(c.requests) > maxRecorded || c.bytes > maxRecordedBytes {
		c.bytes -= len(c.requests[0].Body)
		c.requests[0] = Request{}
		c.requests = c.requests[1:]
	}
}

func (c *record) all() []Request {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Request(nil), c.requests...)
}
