// Package upload reads a body with files on its way to a provider, in the little memory
// that a line of it takes. What has been judged goes on; what may not ends the body, which
// is then incomplete for the provider.
//
//	client's body ─▶ form: parts ─┐
//	              └▶ one file ────┴▶ content: lines of requests │ text │ opaque ─▶ Judge ─▶ Read
//
// A form is written anew, with a boundary that its sender cannot know, so that the provider
// finds the parts that were judged and no others.
//
// A file of requests has a JSON object on each line, as batches have and examples to train
// a model with; each is read as a request of its own. Text is judged in pieces that overlap.
// Opaque is what is no text; only known values and secrets are looked for in it.
package upload

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/textproto"
	"strings"
	"sync"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/proxy/internal/inspect"
	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

// Bounds of a form. Those that clients send have some ten parts.
const (
	maxParts   = 256
	maxField   = 1 << 20 // bytes of a field that is no file
	readAtOnce = 64 << 10
	roomy      = 4 * readAtOnce // of a buffer, more than what mostly passes needs
	maxHeader  = 64 << 10       // bytes until a part has begun
)

// ErrMalformed is a body that cannot be read in one way.
var ErrMalformed = errors.New("the upload cannot be read")

// ErrRead is a body that its client has not sent to its end; the cause is in the tree.
var ErrRead = errors.New("reading the upload")

// errClosed is why a body ends that has been closed.
var errClosed = errors.New("the upload has been given up")

// Options say how a body is judged.
type Options struct {
	API         llmapi.API
	ContentType string // of the body
	Length      int64  // of the body, in bytes; negative if it is not known

	// Piece says that the body is a part of a file, whose first and last line may be cut.
	Piece bool

	// Judge is called by Read with what is to go on next. It may block; an error ends the
	// body. The Request may not be kept.
	Judge func(*inspect.Request) error
	// Grow is called before a buffer grows by n bytes, and with a negative n when it has
	// shrunk. It may block; an error ends the body.
	Grow func(n int) error

	MaxBytes int64 // of the body
	MaxLine  int   // bytes of a request in a file
}

// Reader yields what goes upstream. Read and Close may be called concurrently.
type Reader struct {
	mu   sync.Mutex
	o    Options
	in   *bounded
	form *form // nil for a body that is one file

	file   *file
	files  []proto.Upload
	fields map[string]string // of the form, those that say what it is about

	out    []byte
	sent   int
	err    error
	paused bool
	closed chan struct{}
}

// form is a body of parts while it is read and written anew.
type form struct {
	in    *multipart.Reader
	out   *multipart.Writer
	mixed bool // multipart/related: the first part is JSON about the second
	parts int
	part  *multipart.Part // nil between two
}

// NewReader returns a Reader of what may go on of body.
func NewReader(body io.Reader, o Options) (*Reader, error) {
	r := &Reader{o: o, fields: make(map[string]string), closed: make(chan struct{})}
	r.in = &bounded{r: body, left: o.MaxBytes}
	media, parameters, err := mime.ParseMediaType(o.ContentType)
	switch {
	case err != nil && o.ContentType != "":
		return nil, fmt.Errorf("%w: its Content-Type is malformed", ErrMalformed)
	case !strings.HasPrefix(media, "multipart/"):
		r.file = newFile("", media)
		r.file.declared = r.file.declared && !o.Piece
		return r, nil
	case media != "multipart/form-data" && media != "multipart/related":
		return nil, fmt.Errorf("%w: its parts are neither form-data nor related", ErrMalformed)
	case parameters["boundary"] == "":
		return nil, fmt.Errorf("%w: its Content-Type has no boundary", ErrMalformed)
	}
	var random [20]byte
	rand.Read(random[:]) // never fails: crypto/rand aborts the program instead
	r.form = &form{in: multipart.NewReader(r.in, parameters["boundary"]), mixed: media == "multipart/related"}
	r.form.out = multipart.NewWriter(output{r})
	if err := r.form.out.SetBoundary("secbus" + hex.EncodeToString(random[:])); err != nil {
		return nil, fmt.Errorf("choosing a boundary: %w", err)
	}
	return r, nil
}

// ContentType is that of what Read yields.
func (r *Reader) ContentType() string {
	switch {
	case r.form == nil:
		return r.o.ContentType
	case r.form.mixed:
		return "multipart/related; boundary=" + r.form.out.Boundary()
	}
	return r.form.out.FormDataContentType()
}

// Length is how many bytes Read yields in all, negative if that is not known.
func (r *Reader) Length() int64 {
	if r.form != nil {
		return -1
	}
	return r.o.Length
}

// Read implements io.Reader.
func (r *Reader) Read(p []byte) (int, error) {
	r.mu.Lock()
	if r.paused && r.err == nil {
		r.mu.Unlock()
		<-r.closed
		r.mu.Lock()
	}
	defer r.mu.Unlock()
	for r.sent == len(r.out) {
		if r.err != nil {
			return 0, r.err
		}
		if r.out, r.sent = r.out[:0], 0; cap(r.out) > roomy {
			r.out = nil
		}
		r.err = r.step()
		if r.err != nil && r.err != io.EOF {
			r.out = nil
		}
	}
	n := copy(p, r.out[r.sent:])
	r.sent += n
	return n, nil
}

// Pause has Read judge nothing any more, and wait for Close. It waits for a Read that
// judges something.
func (r *Reader) Pause() {
	r.mu.Lock()
	r.paused = true
	r.mu.Unlock()
}

// Close gives the body up, once: Read fails. It waits for a Read that judges something.
func (r *Reader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.closed)
	if r.err == nil {
		r.err = errClosed
	}
	r.out, r.sent = nil, 0
	return nil
}

// Files are those that have begun, as far as they came. Call it after Close.
func (r *Reader) Files() []proto.Upload {
	if r.file != nil && (r.form != nil || r.file.Bytes > 0) {
		return append(r.files, r.file.described())
	}
	return r.files
}

// Taken is how many bytes of the body were read. Call it after Close.
func (r *Reader) Taken() int64 { return r.o.MaxBytes - r.in.left }

// Field is a field of the form, if it says what the form is about. Call it after Close.
func (r *Reader) Field(name string) string { return r.fields[name] }

// step reads and judges a further piece.
func (r *Reader) step() error {
	switch {
	case r.form == nil:
		return r.piece(r.in)
	case r.file != nil:
		err := r.piece(r.form.part)
		if err == io.EOF {
			r.file, err = nil, nil
		}
		return err
	}
	return r.next()
}

// piece reads a piece of the file.
func (r *Reader) piece(from io.Reader) error {
	var buffer [readAtOnce]byte
	n, err := from.Read(buffer[:])
	if judged := r.file.write(r, buffer[:n]); judged != nil {
		return judged
	}
	if err != nil && err != io.EOF {
		return readError(err)
	}
	if err == io.EOF {
		if judged := r.file.end(r); judged != nil {
			return judged
		}
		r.files = append(r.files, r.file.described())
		if r.form == nil {
			r.file = nil
		}
	}
	return err
}

// next begins the next part, or ends the form.
func (r *Reader) next() error {
	f := r.form
	r.in.beginning, r.in.header = true, maxHeader
	part, err := f.in.NextRawPart()
	r.in.beginning = false
	if err == io.EOF {
		if err := r.consistent(); err != nil {
			return err
		}
		if err := f.out.Close(); err != nil {
			return fmt.Errorf("ending the form: %w", err)
		}
		return io.EOF
	}
	if err != nil {
		return readError(err)
	}
	if f.parts++; f.parts > maxParts {
		return fmt.Errorf("%w: it has more than %d parts", ErrMalformed, maxParts)
	}
	f.part = part
	header, err := r.header(part)
	if err != nil {
		return err
	}
	name, fileName, isFile := "metadata", "", f.parts > 1
	if !f.mixed {
		// header has seen that it can be read.
		_, parameters, _ := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
		name = parameters["name"]
		fileName, isFile = parameters["filename"]
	}
	if err := r.judgeText(inspect.RoleOther, strings.TrimSpace(name+" "+fileName)); err != nil {
		return err
	}
	if !isFile {
		return r.field(name, header)
	}
	r.file = newFile(fileName, part.Header.Get("Content-Type"))
	r.file.declared = r.file.declared || trains(r.fields["purpose"])
	if _, err := f.out.CreatePart(header); err != nil {
		return fmt.Errorf("writing a part: %w", err)
	}
	return nil
}

// header is the header of a part as it goes on: its name, its file's name and its type.
func (r *Reader) header(part *multipart.Part) (textproto.MIMEHeader, error) {
	header := make(textproto.MIMEHeader)
	if encoding := part.Header.Get("Content-Transfer-Encoding"); encoding != "" && !strings.EqualFold(encoding, "binary") && !strings.EqualFold(encoding, "8bit") && !strings.EqualFold(encoding, "7bit") {
		return nil, fmt.Errorf("%w: a part has the transfer encoding %.40q", ErrMalformed, encoding)
	}
	if kinds := part.Header["Content-Type"]; len(kinds) > 1 {
		return nil, fmt.Errorf("%w: a part has two types", ErrMalformed)
	} else if len(kinds) == 1 {
		header.Set("Content-Type", kinds[0])
	}
	if r.form.mixed {
		return header, nil
	}
	disposition, parameters, err := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
	name := parameters["name"]
	if err != nil || disposition != "form-data" || name == "" || len(part.Header["Content-Disposition"]) > 1 {
		return nil, fmt.Errorf("%w: a part has no name", ErrMalformed)
	}
	value := `form-data; name="` + escapeQuotes(name) + `"`
	if fileName, ok := parameters["filename"]; ok {
		value += `; filename="` + escapeQuotes(fileName) + `"`
	}
	header.Set("Content-Disposition", value)
	return header, nil
}

// escapeQuotes writes a name as browsers do: https://html.spec.whatwg.org/multipage/form-control-infrastructure.html#multipart-form-data.
func escapeQuotes(s string) string {
	return strings.NewReplacer("\r", "%0D", "\n", "%0A", `"`, "%22").Replace(s)
}

// prompts are the fields that a model reads as what its user says.
var prompts = map[string]bool{"prompt": true, "input": true, "instructions": true, "text": true}

// field reads a part that is no file.
func (r *Reader) field(name string, header textproto.MIMEHeader) error {
	value, err := io.ReadAll(io.LimitReader(r.form.part, maxField+1))
	if err != nil {
		return readError(err)
	}
	if len(value) > maxField {
		return fmt.Errorf("%w: the field %.50q has more than %d bytes", ErrMalformed, name, maxField)
	}
	if r.o.Grow != nil {
		weight := int(inspect.Weight(value))
		if err := r.o.Grow(weight); err != nil {
			return err
		}
		defer func() { _ = r.o.Grow(-weight) }() // to give back never fails
	}
	switch name {
	case "purpose", "model", "stream", "metadata":
		if _, twice := r.fields[name]; twice {
			return fmt.Errorf("%w: the field %s comes twice", ErrMalformed, name)
		}
		r.fields[name] = string(value[:min(len(value), 200)])
	}
	if r.form.mixed {
		if request, err := inspect.Parse(llmapi.Files, value); err == nil {
			request.Part = true
			if err := r.o.Judge(request); err != nil {
				return err
			}
		} else if err := r.judgeText(inspect.RoleOther, string(value)); err != nil {
			return err
		}
	} else {
		role := inspect.RoleOther
		if prompts[name] {
			role = inspect.RoleUser
		}
		if err := r.judgeText(role, string(value)); err != nil {
			return err
		}
	}
	part, err := r.form.out.CreatePart(header)
	if err == nil {
		_, err = part.Write(value)
	}
	if err != nil {
		return fmt.Errorf("writing a field: %w", err)
	}
	return nil
}

// trains reports whether files of a purpose are read as requests by the provider.
func trains(purpose string) bool { return purpose == "batch" || purpose == "fine-tune" }

// consistent reports a file of requests that said so only when it had passed as text.
func (r *Reader) consistent() error {
	if !trains(r.fields["purpose"]) {
		return nil
	}
	for _, f := range r.files {
		if f.Read != readRequests {
			return fmt.Errorf("%w: a file for the purpose %q has lines that are no requests", ErrMalformed, r.fields["purpose"])
		}
	}
	return nil
}

// judgeText judges a text of the form's.
func (r *Reader) judgeText(role inspect.Role, text string) error {
	if text == "" {
		return nil
	}
	return r.o.Judge(&inspect.Request{API: r.o.API, Part: true, Segments: []inspect.Segment{{Role: role, Text: bytes.ToValidUTF8([]byte(text), []byte("\uFFFD"))}}})
}

// output is where the form is written to.
type output struct{ r *Reader }

// Write implements io.Writer.
func (o output) Write(p []byte) (int, error) {
	o.r.out = append(o.r.out, p...)
	return len(p), nil
}

// readError is what a client's body ended with.
func readError(err error) error {
	if errors.Is(err, ErrTooLarge) || errors.Is(err, ErrMalformed) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrRead, err)
}

// ErrTooLarge is a body with more bytes than are allowed.
var ErrTooLarge = errors.New("the upload is too large")

// bounded is a reader of at most left bytes, and of at most header bytes while a part is
// beginning: what stands there is held in memory.
type bounded struct {
	r         io.Reader
	left      int64
	beginning bool
	header    int
}

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, ErrTooLarge
	}
	if b.beginning {
		if b.header -= n; b.header < 0 {
			return 0, fmt.Errorf("%w: a part begins with a header of more than %d bytes", ErrMalformed, maxHeader)
		}
	}
	return n, err
}
