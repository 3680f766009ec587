package inspect

import (
	"encoding/binary"
	"unicode/utf8"
)

// isOpaque reports whether b is printable ASCII without a space, as base64,
// URLs and ids are and prose is not.
func isOpaque(b []byte) bool {
	for ; len(b) >= 8; b = b[8:] {
		w := binary.LittleEndian.Uint64(b)
		if ((w-ones*'!')|w)&highs != 0 { // a borrow comes only from a byte that is itself below '!'
			return false
		}
	}
	for _, c := range b {
		if c < '!' || c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// maxWord is the longest word in bytes: Anthropic's limit for a tool's name.
const maxWord = 128

// isWord reports whether b is a plain word: letters, digits and the signs in
// ids, media types and paths of names.
func isWord(b []byte) bool {
	if len(b) > maxWord {
		return false
	}
	for _, c := range b {
		if !wordBytes[c] {
			return false
		}
	}
	return true
}

var wordBytes = func() (set [256]bool) {
	for _, c := range []byte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.:/+$@|=") {
		set[c] = true
	}
	return set
}()
