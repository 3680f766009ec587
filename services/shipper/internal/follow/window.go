package follow

// window is a stretch of one generation in the follower's buffer.
//
//	      base+first      g.offset       base+next     base+end    (file offsets)
//	          ▼               ▼              ▼             ▼
//	buf ──────┬───────────────┬──────────────┬─────────────┬─────────
//	 lines of │ at least the  │ NULs that    │ read, not   │ free
//	 others   │ 256 bytes     │ are skipped  │ yet         │
//	          │ before        │              │ returned    │
//	──────────┴───────────────┴──────────────┴─────────────┴─────────
//
// What lies before next is kept because lines of the current batch point into
// it and because checkpoints are computed from it.
type window struct {
	buf              []byte
	g                *generation // nil: the window holds nothing
	first, next, end int
	base             int64
	// nuls are skipped before next. The offset does not move over them before
	// it moves over the line that follows: NULs vouch for nothing, since any
	// truncation may leave some.
	nuls int
	// more says that complete lines may remain between next and end.
	more bool
}

func (w *window) unread() []byte { return w.buf[w.next:w.end] }

func (w *window) readOffset() int64 { return w.base + int64(w.end) }

// open moves the window to g's offset, at index at of the buffer.
func (w *window) open(g *generation, at int) {
	w.release()
	n := copy(w.buf[at:], g.lastTail())
	w.g, w.first, w.next, w.end = g, at, at+n, at+n
	w.base = g.offset - int64(w.next)
}

// skipNULs moves over NULs at the start of a line.
func (w *window) skipNULs() {
	if w.next == w.end || w.buf[w.next] != 0 {
		return
	}
	w.save()
	n := countNULs(w.unread())
	w.next += n
	w.nuls += n
}

// pass moves over n bytes, and the NULs before them, for good.
func (w *window) pass(n int) {
	w.next += n
	w.nuls = 0
	w.g.offset = w.base + int64(w.next)
}

// save stores in the generation what it needs to go on without the window.
func (w *window) save() {
	if w.g != nil && w.nuls == 0 {
		w.g.setTail(w.buf[w.first:w.next])
	}
}

// release gives the window up. Lines in it will be read again.
func (w *window) release() {
	w.save()
	if w.g != nil && w.more {
		w.g.eof = false
	}
	w.g, w.nuls, w.more = nil, 0, false
}

// compact moves the window to the start of the buffer. No line may point into
// it.
func (w *window) compact() {
	from := max(w.first, w.next-tailSize)
	copy(w.buf, w.buf[from:w.end])
	w.first, w.next, w.end = 0, w.next-from, w.end-from
	w.base += int64(from)
}
