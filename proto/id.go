package proto

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// EventIDLength is the length of an event id: 128 bits in lower-case hex.
const EventIDLength = 32

// EventID is the stable id of what a line of a sensor's file became: the same
// line at the same place of the same file generation always has the same id,
// and two identical lines at different offsets have two. The fields are length
// prefixed, so that no two different inputs are hashed alike.
func EventID(host, source, generation string, offset int64, line []byte) string {
	h := sha256.New()
	var n [8]byte
	for _, field := range [...]string{host, source, generation} {
		binary.BigEndian.PutUint64(n[:], uint64(len(field)))
		h.Write(n[:])
		h.Write([]byte(field))
	}
	binary.BigEndian.PutUint64(n[:], uint64(offset))
	h.Write(n[:])
	h.Write(line)
	var sum [sha256.Size]byte
	return hex.EncodeToString(h.Sum(sum[:0])[:EventIDLength/2])
}
