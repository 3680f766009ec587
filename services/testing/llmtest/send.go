package llmtest

import (
	"compress/gzip"
	"compress/zlib"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

// answer reads the request as f does and answers it.
func (x *exchange) answer(f format, model string) {
	if !valid(x.body) {
		x.refuse(&fault{status: http.StatusBadRequest, message: "The request's body is not valid JSON."})
		return
	}
	a := &answer{prompt: prompt{model: model}, serial: x.serial, created: x.server.now().Unix()}
	if refusal := f.read(x.body, x.r, &a.prompt); refusal != nil {
		x.refuse(refusal)
		return
	}
	if !x.provider.knows(a.model) {
		x.refuse(unknownModel(a.model))
		return
	}
	p, err := parsePlan(a.prompt.text)
	if err != nil {
		x.refuse(badDirective(err))
		return
	}
	x.wait(p.delay)
	if p.redirect != "" {
		x.w.Header().Set("Location", p.redirect)
		x.w.WriteHeader(http.StatusTemporaryRedirect)
		return
	}
	if p.status != 0 {
		x.refuse(&fault{status: p.status, message: "The prompt asked for this error."})
		return
	}
	if p.echoKey {
		x.w.Header().Set("X-Echoed-Key", x.key)
		if !a.stream {
			x.refuse(echo(x.key))
			return
		}
		half := len(x.key) / 2
		p.pieces = append(p.pieces, "Your key is "+x.key[:half], x.key[half:]+".")
	}
	a.pieces, a.calls, a.usage = p.pieces, p.calls, count(x.body, p)
	if s, ok := f.(streamer); ok && a.stream {
		x.stream(s, a, p)
		return
	}
	if p.errorAfter != never {
		x.refuse(midway())
		return
	}
	x.whole(f.body(a), p)
}

// whole sends an answer that does not stream.
func (x *exchange) whole(body []byte, p *plan) {
	x.cutAt(p, 0)
	x.w.Header().Set("Content-Type", x.provider.contentType())
	if p.breakAfter != never || p.stallAfter != never {
		x.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = x.w.Write(body[:len(body)/2])
		_ = http.NewResponseController(x.w).Flush()
		x.cutAt(p, max(p.breakAfter, p.stallAfter))
	}
	out := x.encoder(p.encoding)
	if out == nil {
		_, _ = x.w.Write(body)
		return
	}
	_, _ = out.Write(body)
	_ = out.Close()
}

// stream sends an answer event by event.
func (x *exchange) stream(f streamer, a *answer, p *plan) {
	x.cutAt(p, 0)
	x.w.Header().Set("Content-Type", f.contentType(a))
	x.w.Header().Set("Cache-Control", "no-cache")
	s := &stream{control: http.NewResponseController(x.w), out: x.w, encoder: x.encoder(p.encoding)}
	if s.encoder != nil {
		s.out = s.encoder
	}
	x.w.WriteHeader(http.StatusOK)
	n := 0
	for e := range f.events(a) {
		if n > 0 {
			x.cutAt(p, n)
		}
		if n == p.errorAfter {
			s.send(f.errorEvent(x, a, midway(), n))
			s.close()
			return
		}
		// The key's echo is an error in place of the stream's end.
		if p.echoKey && !e.paced && n > 0 && s.paced == len(a.pieces) {
			x.sendEcho(s, f.errorEvent(x, a, echo(x.key), n))
			return
		}
		if e.paced {
			s.paced++
			x.wait(p.pause)
		}
		if !s.send(e.wire) {
			return
		}
		n++
	}
	x.cutAt(p, n)
	s.close()
}

// sendEcho sends an error that shows the key, with a flush in the midst of it.
func (x *exchange) sendEcho(s *stream, wire []byte) {
	at := strings.Index(string(wire), x.key) + len(x.key)/2
	s.send(wire[:at])
	s.send(wire[at:])
	s.close()
}

// stream is the way of events to the client.
type stream struct {
	control *http.ResponseController
	out     io.Writer
	encoder encoder // nil for none
	paced   int     // pieces of the text that have been sent
}

// send sends bytes at once. It says whether the client still takes them.
func (s *stream) send(wire []byte) bool {
	_, err := s.out.Write(wire)
	if err == nil && s.encoder != nil {
		err = s.encoder.Flush()
	}
	return err == nil && s.control.Flush() == nil
}

func (s *stream) close() {
	if s.encoder != nil {
		_ = s.encoder.Close()
	}
}

// cutAt breaks the connection off or lets it hang if that is due after n events.
func (x *exchange) cutAt(p *plan, n int) {
	if n == p.stallAfter {
		<-x.r.Context().Done()
	}
	if n == p.stallAfter || n == p.breakAfter {
		panic(http.ErrAbortHandler)
	}
}

// wait waits, or breaks off if the client goes.
func (x *exchange) wait(d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-x.r.Context().Done():
		panic(http.ErrAbortHandler)
	}
}

// encoder is a content coding that can be flushed between events.
type encoder interface {
	io.WriteCloser
	Flush() error
}

// encoder returns the writer for a content coding, and says so in the header;
// nil for none.
func (x *exchange) encoder(coding string) encoder {
	if !slices.Contains([]string{"gzip", "br", "zstd", "deflate"}, coding) {
		return nil
	}
	x.w.Header().Set("Content-Encoding", coding)
	x.w.Header().Add("Vary", "Accept-Encoding")
	switch coding {
	case "gzip":
		return gzip.NewWriter(x.w)
	case "br":
		return brotli.NewWriter(x.w)
	case "zstd":
		// Only options can be wrong, and these are not.
		e, _ := zstd.NewWriter(x.w, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true))
		return e
	default:
		return zlib.NewWriter(x.w) // RFC 9110 section 8.4.1.2
	}
}
