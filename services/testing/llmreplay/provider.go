package main

import (
	"io"
	"net/http"
	"sync"
)

// provider stands in for every provider: it gives the answer that it has been told to
// give next, whatever the request, and keeps what it was sent.
type provider struct {
	mu       sync.Mutex
	answers  []reply // the last one is given to all further requests
	received []sent
}

// reply is an answer, in the pieces in which it goes out.
type reply struct {
	status int
	header http.Header
	pieces [][]byte
	cut    bool // the connection breaks off behind them
}

// sent is a request as it arrived.
type sent struct {
	method, uri string
	header      http.Header
	body        []byte
}

func (p *provider) give(answers []reply) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answers, p.received = answers, nil
}

func (p *provider) requests() []sent {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.received
}

// ServeHTTP implements [http.Handler].
func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler) // the proxy has broken off
	}
	p.mu.Lock()
	n := min(len(p.received), len(p.answers)-1)
	p.received = append(p.received, sent{r.Method, r.RequestURI, r.Header.Clone(), body})
	var a reply
	if n >= 0 {
		a = p.answers[n]
	} else { // nothing was to reach the provider
		a = reply{status: http.StatusNotImplemented}
	}
	p.mu.Unlock()
	for name, values := range a.header {
		w.Header()[name] = values
	}
	w.WriteHeader(a.status)
	control := http.NewResponseController(w)
	for _, piece := range a.pieces {
		if _, err := w.Write(piece); err != nil {
			return
		}
		if len(a.pieces) > 1 || a.cut {
			_ = control.Flush()
		}
	}
	if a.cut {
		panic(http.ErrAbortHandler)
	}
}
