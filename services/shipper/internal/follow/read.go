package follow

import (
	"bytes"
	"errors"
	"syscall"
)

// outcome is how a step of reading a generation ended.
type outcome uint8

const (
	// progress: there is something to go on with.
	progress outcome = iota
	// caughtUp: all that can be returned now has been.
	caughtUp
	// batchFull: more may be there, but not for this batch.
	batchFull
	// fileCut: the file does not hold what was read of it any more.
	fileCut
)

// drain moves the complete lines of g into the batch.
func (f *Follower) drain(g *generation) outcome {
	if f.win.g == g && f.split(g) {
		return batchFull
	}
	info, err := g.src.stat()
	if err != nil {
		return f.fault(g, err)
	}
	if g.src.format == plainText && (info.Size() < g.offset || g.seen != nil && info.Size() < g.seen.Size()) {
		return f.cut(g)
	}
	if g.eof && !g.changedSince(info) {
		return caughtUp
	}
	g.observe(info, f.now)
	if f.win.g != g && !f.openWindow(g) {
		return batchFull
	}
	for {
		if f.split(g) {
			return batchFull
		}
		var o outcome
		switch {
		case len(f.win.unread()) > f.cfg.MaxLine+len("\r"):
			o = f.skipLong(g)
		case g.eof:
			o = caughtUp
		default:
			o = f.fill(g)
		}
		if o != progress {
			return o
		}
	}
}

// openWindow moves the window to g and reports whether there was room.
func (f *Follower) openWindow(g *generation) bool {
	at := 0
	if len(f.batch.Lines) > 0 {
		// Lines of the batch point into all that the window has passed over.
		at = f.win.end
	}
	if len(f.win.buf)-at < tailSize+f.block {
		return false
	}
	f.win.open(g, at)
	return true
}

// fill reads one block. It is used only after a second look at the bytes before
// it: had the file been truncated and written again before or during the read,
// they would be others.
func (f *Follower) fill(g *generation) outcome {
	w := &f.win
	if len(w.buf)-w.end < f.block {
		if len(f.batch.Lines) > 0 {
			return batchFull
		}
		w.compact()
	}
	block := w.buf[w.end : w.end+f.block]
	n, err := g.src.readAt(block, w.readOffset())
	if err != nil {
		return f.fault(g, err)
	}
	// NULs need no voucher, for they are not returned; there may be gigabytes.
	if countNULs(block[:n]) < n || n == 0 {
		if ok, err := f.intact(g); err != nil {
			return f.fault(g, err)
		} else if !ok {
			return f.cut(g)
		}
		g.measure(g.seen.Size(), earlier(g.mtime, f.now))
	}
	w.end += n
	g.eof, g.end = n < len(block), w.readOffset()
	return progress
}

// intact reports whether the file of g still holds what was read of it.
func (f *Follower) intact(g *generation) (bool, error) {
	if g.src.format != plainText {
		return true, nil
	}
	if g.offset == 0 {
		fp, err := identify(g.src, f.head)
		return fp.id == g.id, err
	}
	if f.win.g == g {
		f.win.save()
	}
	tail := g.lastTail()
	return g.src.holds(tail, g.offset-int64(len(tail)), &f.check)
}

// split moves complete lines from the window into the batch and reports
// whether the batch is full.
func (f *Follower) split(g *generation) bool {
	w, b := &f.win, &f.batch
	for {
		if len(b.Lines) >= f.max || b.size >= f.cfg.MaxBatchBytes {
			w.more = true
			return true
		}
		w.skipNULs()
		text, length, ok := cutLine(w.unread())
		if !ok {
			w.more = false
			return false
		}
		kind, reason := Complete, ""
		if len(text) > f.cfg.MaxLine {
			text = text[:f.cfg.MaxLine]
			kind, reason = TooLong, f.tooLong
		}
		if !f.room(len(text)) {
			w.more = true
			return true
		}
		start := w.base + int64(w.next)
		f.stats.NULBytes += int64(w.nuls)
		w.pass(length)
		if isBlank(text) {
			f.stats.BlankLines++
			continue
		}
		b.add(f, g, Line{
			Text: text, File: g.path, Generation: g.name,
			Start: start, End: g.offset, Kind: kind, Reason: reason,
		})
	}
}

// cutLine returns the first line of b without its terminator, and its length
// with it; ok is false if the line does not end in b.
func cutLine(b []byte) (text []byte, length int, ok bool) {
	i := bytes.IndexByte(b, '\n')
	if i < 0 {
		return nil, 0, false
	}
	length = i + 1
	if i > 0 && b[i-1] == '\r' {
		i--
	}
	return b[:i], length, true
}

// isBlank reports whether a line holds nothing but carriage returns and NULs,
// which identify passes over, too.
func isBlank(text []byte) bool {
	return len(text) == 0 || text[0] == '\r' && len(bytes.Trim(text, blank)) == 0
}

// skipLong looks for the end of a line that is longer than MaxLine, keeping
// only its beginning.
func (f *Follower) skipLong(g *generation) outcome {
	w := &f.win
	if len(f.batch.Lines) > 0 {
		return batchFull
	}
	w.compact()
	// The rest of the line passes through the space after the text that is
	// kept; the bytes before each block stay in front of it, for the tail.
	keep := w.next + f.cfg.MaxLine
	pos := max(w.readOffset(), g.searched)
	behind := int(min(int64(tailSize), pos))
	slide := w.buf[keep : keep+behind]
	if pos == w.readOffset() {
		copy(slide, w.buf[w.end-behind:w.end])
	} else if n, err := g.src.readAt(slide, pos-int64(behind)); err != nil {
		return f.fault(g, err)
	} else if n < behind {
		return f.cut(g)
	}
	w.end = keep
	block := w.buf[keep+behind : keep+behind+f.block]
	for {
		n, err := g.src.readAt(block, pos)
		if err != nil {
			return f.fault(g, err)
		}
		if ok, err := f.intact(g); err != nil {
			return f.fault(g, err)
		} else if !ok {
			return f.cut(g)
		}
		if i := bytes.IndexByte(block[:n], '\n'); i >= 0 {
			text, start := w.buf[w.next:keep], w.base+int64(w.next)
			w.base = pos - int64(keep+behind)
			w.first, w.next, w.end = keep, keep+behind, keep+behind+n
			f.stats.NULBytes += int64(w.nuls)
			w.pass(i + 1)
			g.searched = 0
			g.eof, g.end = n < len(block), w.readOffset()
			f.batch.add(f, g, Line{
				Text: text, File: g.path, Generation: g.name,
				Start: start, End: g.offset, Kind: TooLong, Reason: f.tooLong,
			})
			return progress
		}
		pos += int64(n)
		g.searched = pos
		copy(slide, w.buf[keep+n:keep+n+behind])
		if n < len(block) {
			g.eof, g.end = true, pos
			return caughtUp
		}
	}
}

// flush returns what stands after the last newline of a generation that has
// ended.
func (f *Follower) flush(g *generation) outcome {
	f.win.release()
	g.seen, g.eof = nil, false
	if o := f.drain(g); o != caughtUp || !g.partial() {
		return o
	}
	w := &f.win
	text, start := w.unread(), w.base+int64(w.next)
	text = text[:min(len(text), f.cfg.MaxLine)]
	if !f.room(len(text)) {
		return batchFull
	}
	if g.searched > w.readOffset() {
		// Only its start is in the window; what vouches for its end comes next.
		behind := int(min(int64(tailSize), g.end))
		w.first, w.next, w.end = w.end, w.end+behind, w.end+behind
		w.base = g.end - int64(w.end)
	}
	f.stats.NULBytes += int64(w.nuls)
	w.pass(w.end - w.next)
	if isBlank(text) {
		return caughtUp
	}
	f.batch.add(f, g, Line{
		Text: text, File: g.path, Generation: g.name,
		Start: start, End: g.end, Kind: Unterminated, Reason: "the file ended without a newline",
	})
	return caughtUp
}

// room reports whether a line of n bytes fits into the batch. The first always
// does.
func (f *Follower) room(n int) bool {
	lines := len(f.batch.Lines)
	return lines == 0 || lines < f.max && f.batch.size+n <= f.cfg.MaxBatchBytes
}

// cut notes that the file of g was truncated or replaced in place. The next
// scan looks for a copy that holds the rest.
func (f *Follower) cut(g *generation) outcome {
	f.cfg.Logger.Warn("file truncated", "generation", g.name, "path", g.path, "offset", g.offset, "size", g.size)
	f.stats.Truncations++
	g.wasCut, g.cutKey = true, g.src.key
	return f.detach(g)
}

// detach closes the file of g and has the next scan look for the rest.
func (f *Follower) detach(g *generation) outcome {
	f.forgetWindow(g)
	g.close()
	f.rescan = true
	return fileCut
}

// fault notes that g cannot be read now; it is tried again. A stale handle of a
// network file system never gets better, but its file may still be there.
func (f *Follower) fault(g *generation, err error) outcome {
	if errors.Is(err, syscall.ESTALE) {
		return f.detach(g)
	}
	if f.waiting == "" {
		f.waiting = describe(g.path, err)
	}
	return caughtUp
}
