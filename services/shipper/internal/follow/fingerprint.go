package follow

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
)

// headSize is how much of a first line counts for its generation at most, so
// that the generation is known before a very long line has ended.
const headSize = 64 << 10

// blank are the characters that do not make a line.
const blank = "\x00\r"

// fingerprint is what the beginning of a file says.
type fingerprint struct {
	id       string // the generation; "" if there is no data at all
	complete bool   // the first line is complete, so id is final
	hole     int64  // NULs before the first line
}

// identify reads the fingerprint of src with the help of buf, which is as large
// as the part of a line that counts. What is blank or NUL before the first line
// does not count, because a file truncated under a writer that goes on at its
// old offset begins with a hole.
func identify(src *source, buf []byte) (fingerprint, error) {
	var fp fingerprint
	off, have, inHole := int64(0), 0, true
	for {
		n, err := src.readAt(buf[have:], off)
		if err != nil {
			return fp, err
		}
		atEnd := n < len(buf)-have
		off += int64(n)
		if have > 0 {
			have += n
		} else {
			block := buf[:n]
			if inHole {
				nuls := countNULs(block)
				fp.hole += int64(nuls)
				inHole = nuls == n
				block = block[nuls:]
			}
			have = copy(buf, bytes.TrimLeft(block, blank+"\n"))
		}
		head, _, ended := bytes.Cut(buf[:have], []byte{'\n'})
		if len(head) > 0 {
			fp.id = hashHead(head)
		}
		fp.complete = ended || have == len(buf)
		if fp.complete || atEnd {
			return fp, nil
		}
	}
}

// hashHead leaves out a carriage return, which a line that is still being
// written may yet get.
func hashHead(head []byte) string {
	sum := sha256.Sum256(bytes.TrimSuffix(head, []byte{'\r'}))
	return hex.EncodeToString(sum[:generationLen/2])
}

// countNULs returns how many NULs b begins with.
func countNULs(b []byte) int {
	for i, c := range b {
		if c != 0 {
			return i
		}
	}
	return len(b)
}
