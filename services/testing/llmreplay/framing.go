package main

import (
	"bytes"
	"compress/gzip"
	"math/rand/v2"
	"net/http"
)

// framing is a way in which the provider's bytes reach the proxy.
type framing string

// The framings.
const (
	asEvents framing = "events" // a write for each event
	asPieces framing = "pieces" // cut anywhere
	asGzip   framing = "gzip"   // compressed, and flushed anywhere
)

var allFramings = []framing{asEvents, asPieces, asGzip}

// maxPiece is the size of a random piece at most, in bytes, of a body of usual size.
const maxPiece = 97

// cut frames the pieces of a body. It may add to the header.
func (f framing) cut(pieces [][]byte, h http.Header, random *rand.Rand) [][]byte {
	if f == asEvents {
		return pieces
	}
	whole := bytes.Join(pieces, nil)
	most := max(maxPiece, len(whole)/2000)
	var cuts [][]byte
	for rest := whole; len(rest) > 0; {
		n := min(1+random.IntN(most), len(rest))
		cuts, rest = append(cuts, rest[:n]), rest[n:]
	}
	if f == asPieces {
		return cuts
	}
	h.Set("Content-Encoding", "gzip")
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	var all [][]byte
	take := func() {
		all = append(all, bytes.Clone(zipped.Bytes()))
		zipped.Reset()
	}
	for _, c := range cuts {
		_, _ = z.Write(c) // into memory
		_ = z.Flush()
		take()
	}
	_ = z.Close()
	take()
	return all
}
