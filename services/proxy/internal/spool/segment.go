package spool

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// extension ends the name of every segment's file.
const extension = ".spool"

// segment is one file of a queue. Everything but its name is guarded by the
// queue's lock.
type segment struct {
	number  uint64 // orders the segments of a queue
	word    string // distinguishes it from every other segment of that number
	size    int64  // bytes of whole lines
	records int64  // good lines
	done    mark   // up to where the reader is done with it
	checked int64  // damage before this offset is known and counted
}

// mark is a place between two lines of a segment.
type mark struct {
	offset  int64
	records int64 // good lines before it
}

func newSegment(number uint64) *segment {
	var word [8]byte
	rand.Read(word[:]) // never fails: crypto/rand aborts the program instead
	return &segment{number: number, word: hex.EncodeToString(word[:])}
}

// name is the segment's part of a position and of its file's name.
func (g *segment) name() string { return fmt.Sprintf("%08d-%s", g.number, g.word) }

// compare orders segments by age. Two have one number only if
// somebody has put two queues together.
func (g *segment) compare(other *segment) int {
	return cmp.Or(cmp.Compare(g.number, other.number), cmp.Compare(g.word, other.word))
}

func (g *segment) before(other *segment) bool { return g.compare(other) < 0 }

func (q *queue) path(g *segment) string {
	return filepath.Join(q.dir, q.name+"-"+g.name()+extension)
}

// parseSegment reads the name of a file in the queue's directory; false means
// that it belongs to something else.
func (q *queue) parseSegment(file string) (*segment, bool) {
	name, ours := strings.CutPrefix(file, q.name+"-")
	name, ends := strings.CutSuffix(name, extension)
	digits, word, cut := strings.Cut(name, "-")
	number, err := strconv.ParseUint(digits, 10, 64)
	g := &segment{number: number, word: word}
	return g, ours && ends && cut && err == nil && g.name() == name
}

// position is a place between two lines of a queue.
type position struct {
	segment *segment
	mark    mark
}

// String is the form in which to keep a position elsewhere, see [queue.ReadFrom].
func (p position) String() string {
	return p.segment.name() + ":" + strconv.FormatInt(p.mark.offset, 10)
}

// parsePosition reads what String wrote.
func parsePosition(s string) (segment string, offset int64, ok bool) {
	segment, digits, _ := strings.Cut(s, ":")
	offset, err := strconv.ParseInt(digits, 10, 64)
	return segment, offset, err == nil && offset >= 0
}

// listSegments finds the segments that are there, oldest first.
func (q *queue) listSegments() ([]*segment, error) {
	files, err := os.ReadDir(q.dir)
	if err != nil {
		return nil, err
	}
	var segments []*segment
	for _, f := range files {
		if g, ok := q.parseSegment(f.Name()); ok {
			segments = append(segments, g)
		}
	}
	slices.SortFunc(segments, (*segment).compare)
	return segments, nil
}

// remove deletes the files of segments that are out of the list already.
func (q *queue) remove(gone []*segment) {
	for _, g := range gone {
		if err := os.Remove(q.path(g)); err != nil && !errors.Is(err, os.ErrNotExist) {
			// It costs space, and a few records that are published again after a
			// restart; there is nothing more to do about it here.
			q.log.Error("a segment of the spool cannot be removed", "err", err)
		}
	}
}
