package forward

import (
	"io"
	"net/http"
	"time"
)

// rawBody reads an answer's body as the provider sends it. The timer runs while
// a read waits for the provider, and not while the client or an inspection takes
// its time.
type rawBody struct {
	body  io.Reader
	timer *time.Timer // ends the exchange
	limit time.Duration
	count int64
	first time.Time // when the first byte came
}

// Read implements io.Reader.
func (b *rawBody) Read(p []byte) (int, error) {
	b.timer.Reset(b.limit)
	n, err := b.body.Read(p)
	b.timer.Stop()
	if n > 0 && b.count == 0 {
		b.first = time.Now()
	}
	b.count += int64(n)
	return n, err
}

// sink is the way to the client. Each write has a time limit of its own, since
// an answer as a whole has none.
type sink struct {
	w        http.ResponseWriter
	control  *http.ResponseController
	timeout  time.Duration
	flush    bool
	scrubber scrubber
	sent     int64
}

// start sends the status with header.
func (s *sink) start(status int, header http.Header) {
	to := s.w.Header()
	for name, values := range header {
		to[name] = values
	}
	s.w.WriteHeader(status)
}

// write sends p, except for what may be the beginning of a secret until it is
// known whether it is one, or until the last write.
func (s *sink) write(p []byte, last bool) error {
	if last {
		// The server still has an end to write, and the time of the write before
		// may long be over.
		s.deadline()
	}
	if p = s.scrubber.next(p, last); len(p) == 0 {
		return nil
	}
	return s.send(p)
}

// send sends p, and what was sent before if all that is to be flushed.
func (s *sink) send(p []byte) error {
	s.deadline()
	n, err := s.w.Write(p)
	s.sent += int64(n)
	if err == nil && s.flush {
		err = s.control.Flush()
	}
	return err
}

// rest sends what has been held back or buffered before the connection is aborted.
func (s *sink) rest() {
	s.flush = true
	if s.write(nil, true) == nil { // else the client has gone
		_ = s.send(nil)
	}
}

// deadline begins the time that the client has for the next write. A writer that
// has no deadline (a test's recorder) cannot stall either.
func (s *sink) deadline() {
	_ = s.control.SetWriteDeadline(time.Now().Add(s.timeout))
}
