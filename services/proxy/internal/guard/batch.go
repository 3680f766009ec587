package guard

import (
	"iter"
	"unicode/utf8"
)

// Bounds of one question. A classifier's own limits are far lower; these keep
// one question from taking the whole timeout.
const (
	maxMessage  = 32 << 10 // bytes; longer texts are cut
	overlap     = 1 << 10  // bytes that neighboring pieces share, so that no phrase is cut in two
	maxBatch    = 256 << 10
	maxMessages = 64
)

// batch is the content of one question.
type batch struct {
	messages []string
	upTo     int // texts of which at least a part is in this batch or an earlier one
}

// batches puts texts, in order and completely, into questions.
func batches(texts [][]byte) iter.Seq[batch] {
	return func(yield func(batch) bool) {
		var b batch
		size := 0
		for i, text := range texts {
			for piece := range pieces(text) {
				if len(b.messages) == maxMessages || size+len(piece) > maxBatch {
					if !yield(b) {
						return
					}
					b.messages, size = nil, 0
				}
				b.messages, b.upTo = append(b.messages, string(piece)), i+1
				size += len(piece)
			}
		}
		if len(b.messages) > 0 {
			yield(b)
		}
	}
}

// pieces cuts text into parts that overlap, between characters.
func pieces(text []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for len(text) > maxMessage {
			end := boundary(text, maxMessage)
			if !yield(text[:end]) {
				return
			}
			text = text[boundary(text, end-overlap):]
		}
		yield(text)
	}
}

// boundary is the last offset up to at at which a character begins. In bytes
// that are not UTF-8 it is at itself.
func boundary(text []byte, at int) int {
	for i := at; i > at-utf8.UTFMax; i-- {
		if utf8.RuneStart(text[i]) {
			return i
		}
	}
	return at
}
