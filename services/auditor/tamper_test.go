package auditor

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/openclaw-security/bus/services/auditor/internal/chain"
	"github.com/openclaw-security/bus/services/testing/bustest"
)

// The log that is tampered with: of each segment the first record is that of the
// start of a request whose number is a multiple of segmentRequests.
const (
	segmentRequests = 70
	segmentRecords  = 2 * segmentRequests
	answerBytes     = 8 << 10 // so that a segment is full with its first batch
)

// tamperable is a log that auditors have written in two sittings: segment 1 is
// compressed, 2 and 3 are closed, 4 is open. earlier is a copy from between the
// two, with segments 1 and 2. Every state of it that matters is signed on the bus.
func tamperable(t *testing.T) (r *rig, earlier string) {
	t.Helper()
	r = newRig(t)
	grow := func(segment int) {
		t.Helper()
		r.publish(requests(t, (segment-1)*segmentRequests, segmentRequests, answerBytes)...)
		r.settled()
		r.signed(uint64(segment * segmentRecords))
	}
	a := r.start()
	grow(1)
	grow(2)
	a.stop()
	earlier = copied(t, r.reader.Dir)
	a = r.start()
	bustest.Eventually(t, "segment 1 is compressed", func() bool {
		_, err := os.Stat(filepath.Join(logDir(r.reader.Dir), "00000001.jsonl"))
		return os.IsNotExist(err)
	})
	grow(3)
	grow(4)
	a.stop()
	wantWhole(t, r.verify(), 4*segmentRecords)
	return r, earlier
}

// copied returns a copy of an auditor's directory.
func copied(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "audit")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

// file is a file of a log, taken apart into lines.
type file struct {
	t     *testing.T
	path  string
	lines [][]byte
}

// open reads a segment, which it uncompresses if it has to.
func open(t *testing.T, dir string, segment int) *file {
	t.Helper()
	f := &file{t: t, path: filepath.Join(logDir(dir), fmt.Sprintf("%08d.jsonl", segment))}
	content, err := os.ReadFile(f.path)
	if os.IsNotExist(err) {
		if content, err = os.ReadFile(f.path + ".zst"); err != nil {
			t.Fatal(err)
		}
		d, err := zstd.NewReader(nil)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		if content, err = d.DecodeAll(content, nil); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(f.path + ".zst"); err != nil {
			t.Fatal(err)
		}
	} else if err != nil {
		t.Fatal(err)
	}
	f.lines = slices.Collect(bytes.Lines(content))
	return f
}

func (f *file) save() {
	f.t.Helper()
	if err := os.WriteFile(f.path, bytes.Join(f.lines, nil), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

// tool is a text of every record of a request's end, and otherTool one as long.
const (
	tool      = `"gen_ai.tool.name":"read"`
	otherTool = `"gen_ai.tool.name":"rest"`
)

var (
	headerHash = regexp.MustCompile(`"header":"[0-9a-f]{64}"`)
	signature  = regexp.MustCompile(`,"signature":"[^"]*"`)
)

// rewrite writes all of the log in dir anew with this key, as the package
// documentation of chain describes the format, after the tool of a record has been
// changed.
func rewrite(t *testing.T, dir string, key ed25519.PrivateKey, altered, segments int) {
	t.Helper()
	prev := strings.Repeat("0", 64)
	var seq int
	var head string
	for segment := 1; segment <= segments; segment++ {
		f := open(t, dir, segment)
		var header string
		for i, line := range f.lines {
			line = slices.Clone(line)
			copy(line[len(`{"prev":"`):], prev)
			kind := line[len(`{"prev":"`)+len(prev)+len(`",`):]
			switch {
			case bytes.HasPrefix(kind, []byte(`"footer"`)):
				line = headerHash.ReplaceAll(line, []byte(`"header":"`+header+`"`))
				text := bytes.TrimSuffix(signature.ReplaceAll(line, nil), []byte("\n"))
				signed := base64.StdEncoding.EncodeToString(ed25519.Sign(key, text))
				line = signature.ReplaceAll(line, []byte(`,"signature":"`+signed+`"`))
			case bytes.HasPrefix(kind, []byte(`"seq"`)):
				if seq++; seq == altered {
					line = bytes.Replace(line, []byte(tool), []byte(otherTool), 1)
				}
			}
			sum := sha256.Sum256(line)
			prev = hex.EncodeToString(sum[:])
			if f.lines[i] = line; i == 0 {
				header = prev
			}
			if bytes.HasPrefix(kind, []byte(`"seq"`)) {
				head = prev
			}
		}
		f.save()
	}
	path := filepath.Join(logDir(dir), "checkpoints.jsonl")
	ledger, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	all := slices.Collect(bytes.Lines(ledger))
	var c chain.Checkpoint
	if err := json.Unmarshal(all[len(all)-1], &c); err != nil || c.Seq != uint64(seq) {
		t.Fatalf("the last checkpoint is of record %d, want %d; %v", c.Seq, seq, err)
	}
	if err := c.Head.UnmarshalText([]byte(head)); err != nil {
		t.Fatal(err)
	}
	c.Signature = nil
	statement, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	c.Signature = ed25519.Sign(key, statement)
	if statement, err = json.Marshal(c); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(statement, '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
}

func privateKey(t *testing.T, dir string) ed25519.PrivateKey {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(logDir(dir), "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(content)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return key.(ed25519.PrivateKey)
}

// found is where a fault is to be found.
type found struct {
	file string
	line int    // or the one before or behind it; 0 is any
	seq  uint64 // or the one before or behind it; 0 is any
}

func (w found) is(f *chain.Corruption) bool {
	near := func(want, got int) bool { return want == 0 || got >= want-1 && got <= want+1 }
	return f.File == w.file && near(w.line, f.Line) && near(int(w.seq), int(f.Seq))
}

// TestTampering does to a log what must not be done to one, each time to a copy,
// and wants it found and located.
func TestTampering(t *testing.T) {
	r, earlier := tamperable(t)
	const (
		last     = 4 * segmentRecords
		line     = 42                        // of a segment; its header is the first
		seq      = segmentRecords + line - 1 // of the record in that line of segment 2
		lastLine = segmentRecords + 1        // before the footer
		first    = "00000001.jsonl"
		second   = "00000002.jsonl"
		third    = "00000003.jsonl"
		open4    = "00000004.jsonl"
	)
	lines := func(segment int, alter func(f *file)) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			f := open(t, dir, segment)
			alter(f)
			f.save()
		}
	}
	other := newRig(t) // another log, of the same records
	a := other.start()
	for segment := range 3 {
		other.publish(requests(t, segment*segmentRequests, segmentRequests, answerBytes)...)
		other.settled()
	}
	a.stop()

	for _, test := range []struct {
		name  string
		alter func(t *testing.T, dir string)
		want  found
		// The records that the stream has otherwise, as messages of these sequences;
		// none is any.
		messages []int
		// onlyBus says that the log by itself looks as good as ever.
		onlyBus bool
	}{
		{
			name:  "a bit is flipped",
			alter: lines(2, func(f *file) { f.lines[line-1][len(f.lines[line-1])/2] ^= 1 }),
			want:  found{second, line, seq}, messages: []int{seq},
		},
		{
			name: "a bit is flipped in a compressed segment",
			alter: func(t *testing.T, dir string) {
				path := filepath.Join(logDir(dir), first+".zst")
				content, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				content[len(content)/2] ^= 1
				if err := os.WriteFile(path, content, 0o600); err != nil {
					t.Fatal(err)
				}
			},
			want: found{file: first + ".zst"},
		},
		{
			name:  "a line is dropped",
			alter: lines(2, func(f *file) { f.lines = slices.Delete(f.lines, line-1, line) }),
			want:  found{second, line, seq}, messages: []int{seq},
		},
		{
			name: "two lines are swapped",
			alter: lines(2, func(f *file) {
				f.lines[line-1], f.lines[line] = f.lines[line], f.lines[line-1]
			}),
			want: found{second, line, seq},
		},
		{
			name:  "a line is inserted",
			alter: lines(2, func(f *file) { f.lines = slices.Insert(f.lines, line-1, f.lines[line-2]) }),
			want:  found{second, line, seq},
		},
		{
			name:  "a closed segment is cut off",
			alter: lines(2, func(f *file) { f.lines = f.lines[:line-1] }),
			want:  found{second, line, seq}, messages: []int{seq, seq + 1},
		},
		{
			name:  "the open segment is cut off at a line",
			alter: lines(4, func(f *file) { f.lines = f.lines[:line-1] }),
			want:  found{open4, line, 3*segmentRecords + line - 1},
		},
		{
			name: "the open segment is cut off within a line",
			alter: lines(4, func(f *file) {
				f.lines = f.lines[:lastLine]
				f.lines[lastLine-1] = f.lines[lastLine-1][:100]
			}),
			want: found{open4, lastLine, last},
		},
		{
			name: "a segment is replaced by that of another log",
			alter: func(t *testing.T, dir string) {
				f := open(t, copied(t, other.reader.Dir), 2)
				f.path = filepath.Join(logDir(dir), second)
				f.save()
			},
			want: found{file: second, line: 1},
		},
		{
			name: "a segment is deleted",
			alter: func(t *testing.T, dir string) {
				if err := os.Remove(filepath.Join(logDir(dir), second)); err != nil {
					t.Fatal(err)
				}
			},
			want: found{file: second}, messages: []int{segmentRecords + 1, segmentRecords + 2},
		},
		{
			name: "all is written anew with another key",
			alter: func(t *testing.T, dir string) {
				_, key, err := ed25519.GenerateKey(nil)
				if err != nil {
					t.Fatal(err)
				}
				rewrite(t, dir, key, 2*line, 4)
			},
			want: found{first, lastLine + 1, segmentRecords}, messages: []int{2 * line},
		},
		{
			name:    "all is written anew with the key",
			alter:   func(t *testing.T, dir string) { rewrite(t, dir, privateKey(t, dir), segmentRecords+2*line, 4) },
			want:    found{second, lastLine, 2 * segmentRecords},
			onlyBus: true, messages: []int{segmentRecords + 2*line},
		},
		{
			name: "it is set back to an earlier copy",
			alter: func(t *testing.T, dir string) {
				if err := os.RemoveAll(dir); err != nil {
					t.Fatal(err)
				}
				if err := os.CopyFS(dir, os.DirFS(earlier)); err != nil {
					t.Fatal(err)
				}
			},
			want:    found{second, lastLine, 2 * segmentRecords},
			onlyBus: true,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			reader := Reader{Dir: copied(t, r.reader.Dir), Zone: r.reader.Zone}
			test.alter(t, reader.Dir)
			alone, err := reader.Verify(t.Context(), nil, VerifyOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if alone.OK() != test.onlyBus {
				t.Errorf("by itself the log is found good: %t, want %t: %v", alone.OK(), test.onlyBus, alone.Corruptions)
			}
			v, err := reader.Verify(t.Context(), r.tail, VerifyOptions{})
			if err != nil {
				t.Fatal(err)
			}
			differences := strings.Join(v.Stream.Differences, "\n")
			if v.OK() || !slices.ContainsFunc(v.Corruptions, test.want.is) {
				t.Errorf("want a corruption at %+v: %v", test.want, v.Corruptions)
			}
			for _, sequence := range test.messages {
				if !strings.Contains(differences, fmt.Sprintf("message %d of ", sequence)) {
					t.Errorf("want a difference at message %d of the stream:\n%s", sequence, differences)
				}
			}
		})
	}
}

// TestSetBackLogGoesOn sets a log back to an earlier copy with which an auditor
// then goes on: what the stream takes for logged is missing from then on, and
// that is told.
func TestSetBackLogGoesOn(t *testing.T) {
	r := newRig(t)
	a := r.start()
	r.publish(requests(t, 0, 10, 0)...)
	r.settled()
	r.signed(20)
	a.stop()
	earlier := copied(t, r.reader.Dir)
	a = r.start()
	r.publish(requests(t, 10, 10, 0)...)
	r.settled()
	r.signed(40)
	a.stop()
	r.cfg.Dir, r.reader.Dir = earlier, earlier
	a = r.start()
	r.publish(requests(t, 20, 20, 0)...)
	r.settled()
	r.signed(60)
	a.stop()

	alone, err := r.reader.Verify(t.Context(), nil, VerifyOptions{})
	if err != nil || !alone.OK() {
		t.Fatalf("by itself the log is good: %v, %v", alone.Corruptions, err)
	}
	v := r.verify()
	if v.Records != 60 || v.Stream.Compared != 60 || v.Stream.Count != 20 || !strings.HasPrefix(v.Stream.Differences[0], "message 21 of ") {
		t.Errorf("%d records, %+v", v.Records, v.Stream)
	}
	if want := (found{file: "00000001.jsonl", line: 41, seq: 40}); !slices.ContainsFunc(v.Corruptions, want.is) {
		t.Errorf("want a corruption at %+v: %v", want, v.Corruptions)
	}
}
