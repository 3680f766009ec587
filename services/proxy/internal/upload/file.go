package upload

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"mime"
	"path"
	"strings"
	"unicode/utf8"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/proxy/internal/inspect"
	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

// How a file was read; the words of proto.Upload.
const (
	readRequests = "requests"
	readText     = "text"
	readOpaque   = "opaque"
)

const (
	sniffed = 512       // bytes by which text is known
	piece   = 256 << 10 // bytes of a text that are judged together
	overlap = 4 << 10   // and that are judged again with what follows
)

// file is a file that passes.
type file struct {
	proto.Upload
	hash     hash.Hash
	declared bool // it is said to have a request on each line

	held     []byte // not yet judged
	searched int    // bytes of held that have no line break
	text     int    // bytes of held, from its beginning, that are lines of text
	before   []byte // the end of the text that has been judged
	grown    int    // bytes that Grow has been asked for
	others   bool   // there are lines that are no requests
	wide     []byte // the byte order mark of UTF-16; nil for UTF-8
}

func newFile(name, contentType string) *file {
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		media = ""
	}
	kind := strings.ToLower(path.Ext(name)) + " " + media
	return &file{
		Upload:   proto.Upload{Name: clip(name), Type: clip(media)},
		hash:     sha256.New(),
		declared: strings.Contains(kind, "jsonl") || strings.Contains(kind, "ndjson"),
	}
}

// described is the file as records have it.
func (f *file) described() proto.Upload {
	d := f.Upload
	d.Read = cmp.Or(d.Read, readOpaque) // it broke off before that was known
	d.SHA256 = hex.EncodeToString(f.hash.Sum(nil))
	return d
}

// write takes the next piece of the file, and lets go what has been judged.
func (f *file) write(r *Reader, p []byte) error {
	f.hash.Write(p)
	f.Bytes += int64(len(p))
	if err := f.reserve(r, len(f.held)+len(p)); err != nil {
		return err
	}
	f.held = append(f.held, p...)
	if f.Read == "" && len(f.held) < sniffed {
		return nil
	}
	return f.advance(r, false)
}

// end is the end of the file.
func (f *file) end(r *Reader) error {
	if err := f.advance(r, true); err != nil {
		return err
	}
	return f.reserve(r, 0)
}

// reserve has room for what is held.
func (f *file) reserve(r *Reader, n int) error {
	// Once more while it grows, once as it goes on, and once as the text that is judged.
	n = 3 * n / readAtOnce * readAtOnce
	if r.o.Grow == nil || n == f.grown {
		return nil
	}
	err := r.o.Grow(n - f.grown)
	if err == nil {
		f.grown = n
	}
	return err
}

func (f *file) advance(r *Reader, last bool) error {
	if f.Read == "" {
		start := f.held[:min(len(f.held), sniffed)]
		f.Read, f.wide = readText, inspect.Wide(start)
		if f.wide == nil && !isText(start) {
			f.Read = readOpaque
		}
	}
	kind := inspect.KindText
	switch {
	case f.Read == readOpaque && f.declared:
		return fmt.Errorf("%w: a file of requests is not text", ErrMalformed)
	case f.Read == readOpaque:
		kind = inspect.KindData
	case f.wide == nil:
		return f.lines(r, last)
	case f.declared:
		return fmt.Errorf("%w: requests are in UTF-8", ErrMalformed)
	}
	f.text = len(f.held)
	if !last {
		f.text &^= 1 // a character is not cut
	}
	if last || f.text >= piece {
		return f.judge(r, kind)
	}
	f.text = 0
	return nil
}

// isText reports whether a file that begins with b is text.
func isText(b []byte) bool {
	for n := range min(utf8.UTFMax, len(b)+1) { // the end may cut a character
		if utf8.Valid(b[:len(b)-n]) {
			b = b[:len(b)-n]
			return !bytes.ContainsFunc(b, func(c rune) bool { return c < ' ' && c != '\t' && c != '\n' && c != '\r' && c != '\f' && c != 0x1b })
		}
	}
	return false
}

// lines judges each request, and the text between them.
func (f *file) lines(r *Reader, last bool) error {
	for {
		rest := f.held[f.text:]
		end := bytes.IndexByte(rest[f.searched:], '\n')
		switch {
		case end >= 0:
			end += f.searched + 1
		case last:
			end = len(rest)
		case f.declared && len(rest) > r.o.MaxLine:
			return fmt.Errorf("%w: a line has more than %d bytes", ErrMalformed, r.o.MaxLine)
		case !f.declared && len(rest) > piece && (len(rest) > r.o.MaxLine || !startsObject(rest)):
			end = len(rest) // no request is read here
		default:
			f.searched = len(rest)
			return f.full(r)
		}
		f.searched = 0
		line := bytes.TrimPrefix(bytes.TrimSpace(rest[:end]), []byte("\ufeff"))
		if !startsObject(line) {
			f.others = f.others || len(line) > 0
			f.text += end
		} else if err := f.request(r, line, end); err != nil {
			return err
		}
		if last && f.text == len(f.held) {
			return f.finish(r)
		}
		if err := f.full(r); err != nil {
			return err
		}
	}
}

func startsObject(line []byte) bool { return len(line) > 0 && line[0] == '{' }

// request judges a line that is an object: as a request, if it is one.
func (f *file) request(r *Reader, line []byte, length int) error {
	weight := int(inspect.Weight(line))
	if r.o.Grow != nil {
		if err := r.o.Grow(weight); err != nil {
			return err
		}
		defer func() { _ = r.o.Grow(-weight) }() // to give back never fails
	}
	request, err := inspect.Parse(llmapi.Batches, line)
	switch {
	case err != nil && f.declared:
		return fmt.Errorf("%w: request %d: %w", ErrMalformed, f.Requests+1, err)
	case err != nil:
		f.others = true
		f.text += length
		return nil
	}
	request.Part = true
	if err := r.o.Judge(request); err != nil { // before the line moves, to which it refers
		return err
	}
	if err := f.judge(r, inspect.KindText); err != nil {
		return err
	}
	f.Requests++
	f.before = f.before[:0]
	f.release(r, length)
	return nil
}

// full judges the text once there is enough of it.
func (f *file) full(r *Reader) error {
	if f.text < piece {
		return nil
	}
	return f.judge(r, inspect.KindText)
}

func (f *file) finish(r *Reader) error {
	if err := f.judge(r, inspect.KindText); err != nil {
		return err
	}
	if f.Requests > 0 && !f.others {
		f.Read = readRequests
	}
	return nil
}

// judge judges the text that is held, with the end of the one before, and lets it go.
func (f *file) judge(r *Reader, kind inspect.Kind) error {
	if f.text == 0 {
		return nil
	}
	text := append(bytes.Clone(f.before), f.held[:f.text]...)
	f.before = append(f.before[:0], text[max(0, len(text)-overlap):]...)
	if f.wide != nil {
		text = inspect.FromWide(append(bytes.Clone(f.wide), text...))
	}
	if kind == inspect.KindText {
		text = bytes.ToValidUTF8(text, []byte("\uFFFD"))
	}
	err := r.o.Judge(&inspect.Request{API: r.o.API, Part: true, Segments: []inspect.Segment{{Role: inspect.RoleOther, Kind: kind, Text: text, Attached: true}}})
	if err != nil {
		return err
	}
	f.release(r, f.text)
	f.text = 0
	return nil
}

// release lets the first n bytes of what is held go.
func (f *file) release(r *Reader, n int) {
	r.out = append(r.out, f.held[:n]...)
	f.held = f.held[:copy(f.held, f.held[n:])]
	if cap(f.held) > roomy && len(f.held) <= readAtOnce {
		f.held = bytes.Clone(f.held) // what was reserved for more is given back
	}
}

// clip bounds a foreign name.
func clip(s string) string { return strings.ToValidUTF8(s[:min(len(s), 200)], "\uFFFD") }
