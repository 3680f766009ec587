package chain

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// rewrite makes the log's records anew with one of them altered, as someone would
// who has the given key and the header of the log.
func rewrite(t *testing.T, dir string, key ed25519.PrivateKey, altered uint64) {
	t.Helper()
	var prev Hash
	var seq, first uint64
	var head Hash
	files, err := listSegments(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		var out []byte
		for _, text := range lines(t, dir, f.name()) {
			var next []byte
			if _, r, err := parseRecord(text); err == nil {
				if r.Seq == altered {
					r.Payload = []byte(`"nothing to see"`)
				}
				next = appendRecord(nil, prev, &r)
				prev = hashLine(next)
				seq, head = r.Seq, prev
				out = append(out, next...)
				continue
			}
			fr, err := parseFrame(text)
			if err != nil {
				t.Fatal(err)
			}
			fr.Prev = prev
			if fr.Footer != nil {
				fr.Footer.Header = hashLine(bytes.SplitAfter(out, []byte("\n"))[0])
				if fr, err = signFooter(key, prev, fr.Footer); err != nil {
					t.Fatal(err)
				}
			} else {
				first = fr.Header.FirstSeq
			}
			if next, err = fr.encode(); err != nil {
				t.Fatal(err)
			}
			prev = hashLine(next)
			out = append(out, next...)
		}
		write(t, out, dir, f.name())
	}
	c, err := parseCheckpoint(lines(t, dir, ledgerName)[0])
	if err != nil {
		t.Fatal(err)
	}
	c.Seq, c.Head = seq, head
	if err := sign(key, &c, &c.Signature); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	if first == 0 {
		t.Fatal("no header")
	}
	write(t, append(text, '\n'), dir, ledgerName)
}

func TestRewrite(t *testing.T) {
	o := options(t.TempDir())
	l := segmented(t, o, 8)
	kept, err := l.Checkpoint()
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, l, records(9, 11)...)
	mustClose(t, l)
	key, err := readPrivateKey(filepath.Join(o.Dir, keyName))
	if err != nil {
		t.Fatal(err)
	}
	wantLog(t, o.Dir, records(1, 11))

	t.Run("without the key", func(t *testing.T) {
		_, forged, err := ed25519.GenerateKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		dir := copyLog(t, o.Dir)
		ledger := read(t, dir, ledgerName)
		rewrite(t, dir, forged, 5)
		wantCorruption(t, verify1(t, dir), fileName(2, plain), 5) // its footer's signature
		write(t, ledger, dir, ledgerName)
		wantCorruption(t, verify1(t, dir), fileName(2, plain), 5)
	})
	t.Run("without the key, the last segment", func(t *testing.T) {
		dir := copyLog(t, o.Dir)
		ledger := read(t, dir, ledgerName)
		rewrite(t, dir, key, 8) // the same up to here
		write(t, ledger, dir, ledgerName)
		wantCorruption(t, verify1(t, dir), fileName(3, plain), 0)
	})
	t.Run("with the key", func(t *testing.T) {
		dir := copyLog(t, o.Dir)
		rewrite(t, dir, key, 5)
		if r := verify1(t, dir); !r.OK() {
			t.Fatalf("the test's forgery is a bad one: %v", r.Corruptions)
		}
		r := verify1(t, dir, kept)
		wantCorruption(t, r, fileName(3, plain), 0)
		if r.Corruptions[0].Seq != kept.Seq {
			t.Errorf("corruption %+v", r.Corruptions[0])
		}
	})
	t.Run("with another key and its public half", func(t *testing.T) {
		alien := options(t.TempDir())
		l := segmented(t, alien, 11)
		mustClose(t, l)
		if r := verify1(t, alien.Dir); !r.OK() || !r.OwnKey {
			t.Fatalf("%+v", r)
		}
		wantCorruption(t, verify1(t, alien.Dir, kept), "kept checkpoint 1", 0)
		r, err := Verify(t.Context(), alien.Dir, VerifyOptions{PublicKey: key.Public().(ed25519.PublicKey)})
		if err != nil || r.OK() || r.OwnKey {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// TestRollBack sets a log back to a copy of itself: by itself it is as good as it
// was then.
func TestRollBack(t *testing.T) {
	o := options(t.TempDir())
	l := segmented(t, o, 5)
	early, err := l.Checkpoint()
	if err != nil {
		t.Fatal(err)
	}
	back := copyLog(t, o.Dir)
	mustAppend(t, l, records(6, 7)...)
	late, err := l.Checkpoint()
	if err != nil {
		t.Fatal(err)
	}
	mustClose(t, l)
	if r := verify1(t, o.Dir, early, late); !r.OK() || r.Checkpoints < 3 {
		t.Errorf("%+v", r)
	}
	if r := verify1(t, back, early); !r.OK() {
		t.Errorf("%v", r.Corruptions)
	}
	r := verify1(t, back, late, early)
	wantCorruption(t, r, fileName(2, plain), 0)
	if f := r.Corruptions[0]; f.Want != "7" || f.Got != "5" || f.Seq != 5 {
		t.Errorf("corruption %+v", f)
	}
	// Going on from the copy makes another log of it.
	l = mustOpen(t, options(back))
	mustAppend(t, l, records(16, 20)...)
	mustClose(t, l)
	if r := verify1(t, back); !r.OK() {
		t.Errorf("%v", r.Corruptions)
	}
	wantCorruption(t, verify1(t, back, late), fileName(2, plain), 5)
}

// TestUnsignedTail forges what nobody has signed: it is seen as unsigned, and
// there can be only so much of it.
func TestUnsignedTail(t *testing.T) {
	o := options(t.TempDir())
	l := mustOpen(t, o)
	mustAppend(t, l, records(1, 3)...)
	mustClose(t, l)
	forge := func(n uint64) string {
		dir := copyLog(t, o.Dir)
		text := read(t, dir, fileName(1, plain))
		all := lines(t, dir, fileName(1, plain))
		prev := hashLine(all[len(all)-1])
		for i := range n {
			r := record(i + 4)
			r.Seq = i + 4
			start := len(text)
			text = appendRecord(text, prev, &r)
			prev = hashLine(text[start:])
		}
		write(t, text, dir, fileName(1, plain))
		return dir
	}
	if r := verify1(t, forge(2)); !r.OK() || r.Signed != 3 || r.Unsigned != 2 || r.SignedAt.IsZero() {
		t.Errorf("%+v", r)
	}
	many := forge(MaxUnsigned + 1)
	wantCorruption(t, verify1(t, many), fileName(1, plain), 0)
	var corruption *Corruption
	if _, err := Open(options(many)); !errors.As(err, &corruption) {
		t.Errorf("opened: %v", err)
	}
}

// TestSignsByItself appends as much as possible without ever asking for a
// checkpoint.
func TestSignsByItself(t *testing.T) {
	o := options(t.TempDir())
	l := mustOpen(t, o)
	next := uint64(1)
	for _, n := range []uint64{signEvery - 1, MaxBatch, MaxBatch, 1, MaxBatch} {
		mustAppend(t, l, records(next, next+n-1)...)
		next += n
		if r := verify1(t, o.Dir); !r.OK() || r.Last != next-1 {
			t.Fatalf("%+v", r)
		}
	}
}

func TestCheckpoint(t *testing.T) {
	o := options(t.TempDir())
	l := mustOpen(t, o)
	empty, err := l.Checkpoint()
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, l, record(1))
	one, err := l.Checkpoint()
	if err != nil {
		t.Fatal(err)
	}
	again, err := l.Checkpoint()
	if err != nil {
		t.Fatal(err)
	}
	if empty.Seq != 0 || one.Seq != 1 || one.Head != l.Last().Hash || one.Log != l.Last().Log || again.Time != one.Time {
		t.Errorf("%+v, %+v, %+v", empty, one, again)
	}
	if got := len(lines(t, o.Dir, ledgerName)); got != 2 {
		t.Errorf("%d checkpoints are kept", got)
	}
	key, err := ReadPublicKey(filepath.Join(o.Dir, publicKeyName))
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(one) // as whoever publishes it may
	if err != nil {
		t.Fatal(err)
	}
	var back Checkpoint
	if err := json.Unmarshal(text, &back); err != nil || back.Verify(key) != nil {
		t.Errorf("after JSON: %v, %v", err, back.Verify(key))
	}
	if r := verify1(t, o.Dir, empty, back); !r.OK() || r.Checkpoints != 4 {
		t.Errorf("%+v", r)
	}
	for name, alter := range map[string]func(*Checkpoint){
		"log":  func(c *Checkpoint) { c.Log += "x" },
		"seq":  func(c *Checkpoint) { c.Seq++ },
		"head": func(c *Checkpoint) { c.Head[0] ^= 1 },
		"time": func(c *Checkpoint) { c.Time = c.Time.Add(time.Nanosecond) },
		"key":  func(c *Checkpoint) { c.PublicKey = slices.Clone(c.PublicKey); c.PublicKey[0] ^= 1 },
		"sig":  func(c *Checkpoint) { c.Signature = nil },
	} {
		c := one
		alter(&c)
		if c.Verify(key) == nil {
			t.Errorf("the signature covers no %s", name)
		}
		wantCorruption(t, verify1(t, o.Dir, c), "kept checkpoint 1", 0)
	}
	mustClose(t, l)
	if _, err := l.Checkpoint(); !errors.Is(err, ErrClosed) {
		t.Errorf("when closed: %v", err)
	}
}

func TestCorruptionText(t *testing.T) {
	f := place{"00000002.jsonl", 12, 4711, 123}.differs("the chain breaks", 1, 2)
	if got, want := f.Error(), "00000002.jsonl line 12 (byte 4711, record 123): the chain breaks: want 1, got 2"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := (place{file: "a"}).corruption("b").Error(); strings.Contains(got, "line") {
		t.Error(got)
	}
}
