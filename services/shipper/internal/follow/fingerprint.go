package follow

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"strconv"
	"time"
)

// headSize is how much of a first line counts for its generation at most, so
// that the generation is known before a very long line has ended.
const headSize = 64 << 10

// formSize is long enough for the name of a record's first member.
const formSize = 64

// blank are the characters that do not make a line.
const blank = "\x00\r"

// fingerprint is what the beginning of a file says.
type fingerprint struct {
	id       string // the generation; "" if there is no data at all
	complete bool   // the first line is complete, so id is final
	hole     int64  // NULs before the first line
	// began is the time that the first line states, of those that state one; zero if
	// none does.
	began time.Time
	// header says that the first line states none, though another does: then other
	// files may begin with the same line.
	header bool
	// form is what the lines of one writer have in common: the name of their first
	// member.
	form string
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
			fp.id, fp.form = hashHead(head), formOf(head)
		}
		fp.complete = ended || have == len(buf)
		if fp.complete || atEnd {
			fp.began = firstTime(buf[:have])
			fp.header = !fp.began.IsZero() && lineTime(head).IsZero()
			return fp, nil
		}
	}
}

// formOf returns the beginning of a line up to its first value, "" if that is not in
// sight.
func formOf(line []byte) string {
	name, _, _ := bytes.Cut(line[:min(len(line), formSize)], []byte{':'})
	return string(name)
}

// mostAre reports whether own says so of more than half of the complete lines at the
// beginning and at the end of src.
func mostAre(src *source, buf []byte, own func([]byte) bool) (bool, error) {
	end, err := src.length(buf)
	if err != nil {
		return false, err
	}
	is, all := 0, 0
	for _, at := range []int64{0, end - int64(len(buf))} {
		if at < 0 {
			break // all of it has been seen
		}
		n, err := src.readAt(buf, at)
		if err != nil {
			return false, err
		}
		block := buf[:n]
		if at > 0 {
			_, block, _ = bytes.Cut(block, []byte{'\n'})
		}
		for line := range bytes.Lines(block) {
			text, complete := bytes.CutSuffix(line, []byte{'\n'})
			if text = bytes.Trim(text, blank); !complete || len(text) == 0 {
				continue
			}
			all++
			if own(text) {
				is++
			}
		}
	}
	return is > all/2, nil
}

// firstTime returns the first time that lines state, or the zero time.
func firstTime(lines []byte) time.Time {
	for line := range bytes.Lines(lines) {
		if at := lineTime(line); !at.IsZero() {
			return at
		}
	}
	return time.Time{}
}

// identifyRaw reads the fingerprint of a file of size bytes that cannot be read as
// lines.
func identifyRaw(file io.ReaderAt, size int64, buf []byte) (fingerprint, error) {
	n, err := file.ReadAt(buf, 0)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return fingerprint{id: hashHead(strconv.AppendInt(buf[:n:n], size, 10)), complete: true}, err
}

// lastTime returns the time that the last line of src before end states, or the
// zero time. If end is negative, it is that of the last line.
func lastTime(src *source, end int64, buf []byte) (time.Time, error) {
	if end < 0 {
		var err error
		if end, err = src.length(buf); err != nil {
			return time.Time{}, err
		}
	}
	start := max(0, end-int64(len(buf)))
	n, err := src.readAt(buf[:end-start], start)
	if err != nil {
		return time.Time{}, err
	}
	lines := bytes.Split(buf[:n], []byte{'\n'})
	if start > 0 {
		lines = lines[1:]
	}
	for _, line := range slices.Backward(lines) {
		if at := lineTime(line); !at.IsZero() {
			return at, nil
		}
	}
	return time.Time{}, nil
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
