package chain

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// segmented returns a log of n records, three in each segment.
func segmented(t testing.TB, o Options, n uint64) *Log {
	t.Helper()
	o.SegmentBytes = 1000
	l := mustOpen(t, o)
	for seq := uint64(1); seq <= n; seq++ {
		mustAppend(t, l, record(seq))
	}
	return l
}

func mustTidy(t testing.TB, l *Log) {
	t.Helper()
	if err := l.Tidy(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func forms(t testing.TB, dir string) (all []form) {
	t.Helper()
	files, err := listSegments(dir)
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range files {
		if f.number != uint64(i)+1 {
			t.Fatalf("file %d is %s", i+1, f.name())
		}
		all = append(all, f.form)
	}
	return all
}

func TestCompress(t *testing.T) {
	o := options(t.TempDir())
	l := segmented(t, o, 10)
	before := read(t, o.Dir, fileName(2, plain))
	mustTidy(t, l)
	if got, want := forms(t, o.Dir), []form{compressed, compressed, compressed, plain}; !slices.Equal(got, want) {
		t.Fatalf("forms %v, want %v", got, want)
	}
	s, err := openSegment(o.Dir, 2, untilDone(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	var after bytes.Buffer
	if _, err := after.ReadFrom(s); err != nil || !bytes.Equal(after.Bytes(), before) {
		t.Errorf("the lines have changed: %v", err)
	}
	wantLog(t, o.Dir, records(1, 10))
	mustTidy(t, l)
	mustClose(t, l)
	if err := l.Tidy(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("tidying when closed: %v", err)
	}
	l = mustOpen(t, o)
	mustAppend(t, l, record(11))
	mustClose(t, l)
	wantLog(t, o.Dir, records(1, 11))
}

func TestTidyEndsWithItsContext(t *testing.T) {
	o := options(t.TempDir())
	l := segmented(t, o, 10)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Tidy(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(o.Dir, "*"+tmpSuffix)); err != nil || left != nil {
		t.Errorf("left %v, %v", left, err)
	}
	mustTidy(t, l)
	wantLog(t, o.Dir, records(1, 10))
}

// TestCrashWhileTidying has two forms of a segment, and a third half written.
func TestCrashWhileTidying(t *testing.T) {
	o := options(t.TempDir())
	o.KeepFor = time.Hour
	l := segmented(t, o, 10)
	plainOne := read(t, o.Dir, fileName(1, plain))
	c := newClock()
	mustTidy(t, l)
	packed := read(t, o.Dir, fileName(1, compressed))
	tidied := copyLog(t, o.Dir)
	c.advance(24 * time.Hour)
	l.now = c.Now
	mustTidy(t, l)
	stubbed := read(t, o.Dir, fileName(1, stub))
	mustClose(t, l)

	for _, test := range []struct {
		name  string
		files map[string][]byte
		want  form
	}{
		{"compressing", map[string][]byte{fileName(1, plain): plainOne, fileName(1, compressed) + tmpSuffix: packed[:20]}, plain},
		{"compressed", map[string][]byte{fileName(1, plain): plainOne, fileName(1, compressed): packed}, plain},
		{"removing", map[string][]byte{fileName(1, compressed): packed, fileName(1, stub) + tmpSuffix: stubbed[:20]}, compressed},
		{"removed", map[string][]byte{fileName(1, compressed): packed, fileName(1, stub): stubbed}, compressed},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := copyLog(t, tidied)
			remove(t, dir, fileName(1, compressed))
			for name, content := range test.files {
				write(t, content, dir, name)
			}
			wantLog(t, dir, records(1, 10))
			l := mustOpen(t, options(dir))
			if got := forms(t, dir)[0]; got != test.want {
				t.Errorf("form %d, want %d", got, test.want)
			}
			mustTidy(t, l)
			mustClose(t, l)
			wantLog(t, dir, records(1, 10))
			if left, err := filepath.Glob(filepath.Join(dir, "*"+tmpSuffix)); err != nil || left != nil {
				t.Errorf("left %v, %v", left, err)
			}
		})
	}
}

func TestRetention(t *testing.T) {
	c := newClock()
	for _, test := range []struct {
		name   string
		set    func(*Log)
		reason string
	}{
		{"age", func(l *Log) { l.keepFor = time.Hour; c.advance(2 * time.Hour) }, "age"},
		{"size", func(l *Log) { l.keepBytes = 1 }, "size"},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := options(t.TempDir())
			o.Now = c.Now
			l := segmented(t, o, 10)
			early, err := l.Checkpoint()
			if err != nil {
				t.Fatal(err)
			}
			mustTidy(t, l)
			test.set(l)
			mustAppend(t, l, records(11, 12)...)
			mustTidy(t, l)
			mustTidy(t, l)
			if got, want := forms(t, o.Dir), []form{stub, stub, stub, plain}; !slices.Equal(got, want) {
				t.Fatalf("forms %v, want %v", got, want)
			}
			for _, from := range []uint64{0, 1, 5, 10} {
				got, errs := scanAll(o.Dir, from)
				if want := numbered(records(1, 12))[9:]; errs != nil || !slices.EqualFunc(got, want, sameRecord) {
					t.Errorf("from %d: %d records, %v", from, len(got), errs)
				}
			}
			first := Checkpoint{Log: early.Log, Seq: 2, PublicKey: early.PublicKey}
			if err := sign(l.key, &first, &first.Signature); err != nil {
				t.Fatal(err)
			}
			r := verify1(t, o.Dir, early, first)
			if !r.OK() || r.Records != 3 || r.Last != 12 || r.Segments != 1 || r.Unchecked != 1 {
				t.Errorf("%+v", r)
			}
			if len(r.Removed) != 3 {
				t.Fatalf("%d removed", len(r.Removed))
			}
			if got := r.Removed[1]; got.First != 4 || got.Last != 6 || got.Segment != 2 || got.Reason != test.reason {
				t.Errorf("removed %+v", got)
			}
			mustClose(t, l)
			l = mustOpen(t, o)
			if h := l.Last(); h.Seq != 12 {
				t.Errorf("%+v", h)
			}
			mustAppend(t, l, record(13))
			mustClose(t, l)
			if r := verify1(t, o.Dir); !r.OK() || r.Last != 13 {
				t.Errorf("%+v", r)
			}
		})
	}
}

func TestRetentionKeepsEnough(t *testing.T) {
	o := options(t.TempDir())
	l := segmented(t, o, 12)
	mustTidy(t, l)
	files, err := listSegments(o.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		l.keepBytes += f.size
	}
	mustTidy(t, l)
	if got := forms(t, o.Dir); slices.Contains(got, stub) {
		t.Errorf("forms %v within the bound", got)
	}
	l.keepBytes--
	mustTidy(t, l)
	if got, want := forms(t, o.Dir), []form{stub, compressed, compressed, plain}; !slices.Equal(got, want) {
		t.Errorf("forms %v, want %v", got, want)
	}
}

// TestRetentionKeepsTheHead has a newest segment without a record.
func TestRetentionKeepsTheHead(t *testing.T) {
	o := options(t.TempDir())
	l := segmented(t, o, 6)
	l.mu.Lock()
	err := errors.Join(l.closeSegment(), l.begin())
	l.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	l.keepBytes = 1
	mustTidy(t, l)
	if got, want := forms(t, o.Dir), []form{stub, compressed, plain}; !slices.Equal(got, want) {
		t.Errorf("forms %v, want %v", got, want)
	}
	mustClose(t, l)
	l = mustOpen(t, o)
	if h := l.Last(); h.Seq != 6 || h.StreamSeq != 6 {
		t.Errorf("%+v", h)
	}
}

func TestRetentionKeepsEvidence(t *testing.T) {
	o := options(t.TempDir())
	l := segmented(t, o, 10)
	content := read(t, o.Dir, fileName(1, plain))
	at := bytes.Index(content, []byte(`"n":2`))
	content[at+4] = '3'
	write(t, content, o.Dir, fileName(1, plain))
	l.keepBytes = 1
	var corruption *Corruption
	if err := l.Tidy(t.Context()); !errors.As(err, &corruption) || corruption.Line != 3 {
		t.Fatalf("error %v", err)
	}
	if got := forms(t, o.Dir); slices.Contains(got, stub) {
		t.Errorf("forms %v", got)
	}
}

// TestTidyWhileReading lets segments change their form under a reader.
func TestTidyWhileReading(t *testing.T) {
	o := options(t.TempDir())
	l := segmented(t, o, 10)
	var got []Record
	for r, err := range Scan(o.Dir, 1) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Seq == 2 {
			mustTidy(t, l)
			mustAppend(t, l, records(11, 20)...)
			mustTidy(t, l)
		}
		got = append(got, r)
	}
	if !slices.EqualFunc(got, numbered(records(1, 10)), sameRecord) {
		t.Errorf("%d records", len(got))
	}
}

// TestTidyWhileAppending is for the race detector: Append counts in the newest
// segment while Tidy looks at all of them.
func TestTidyWhileAppending(t *testing.T) {
	for range 60 {
		l := segmented(t, options(t.TempDir()), 4)
		tidied := make(chan error)
		go func() { tidied <- l.Tidy(t.Context()) }()
		for seq := uint64(5); seq <= 6; seq++ {
			mustAppend(t, l, record(seq))
		}
		if err := <-tidied; err != nil {
			t.Fatal(err)
		}
	}
}

// TestFormatByHand checks a log as the package comment says that anybody can.
func TestFormatByHand(t *testing.T) {
	o := options(t.TempDir())
	l := segmented(t, o, 10)
	mustClose(t, l)
	script := `set -eu
prev=0000000000000000000000000000000000000000000000000000000000000000
for f in 0*.jsonl; do
	while IFS= read -r line; do
		case $line in '{"prev":"'$prev'",'*) ;; *) echo "$f: $line"; exit 1;; esac
		prev=$(printf '%s\n' "$line" | sha256sum | cut -c 1-64)
	done < "$f"
done
tail -n 1 00000002.jsonl > line
sed 's/,"signature":"[^"]*"//' line | tr -d '\n' > text
sed 's/.*,"signature":"\([^"]*\)".*/\1/' line | base64 -d > signature
openssl pkeyutl -verify -pubin -inkey key.pub -rawin -in text -sigfile signature
tail -n 1 checkpoints.jsonl > line
grep "$prev" line
sed 's/,"signature":"[^"]*"//' line | tr -d '\n' > text
sed 's/.*,"signature":"\([^"]*\)".*/\1/' line | base64 -d > signature
openssl pkeyutl -verify -pubin -inkey key.pub -rawin -in text -sigfile signature
`
	for _, tool := range []string{"sh", "sha256sum", "openssl", "base64"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", script)
	cmd.Dir = o.Dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if _, err := os.Stat(filepath.Join(o.Dir, "signature")); errors.Is(err, fs.ErrNotExist) {
		t.Error("the script has not run")
	}
}
