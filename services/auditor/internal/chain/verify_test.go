package chain

import (
	"context"
	"errors"
	"io/fs"
	"testing"
)

func TestVerifyProgress(t *testing.T) {
	o := options(t.TempDir())
	l := segmented(t, o, 10)
	mustTidy(t, l)
	mustClose(t, l)
	files, err := listSegments(o.Dir)
	if err != nil {
		t.Fatal(err)
	}
	var size, last int64
	for _, f := range files {
		size += f.size
	}
	r, err := Verify(t.Context(), o.Dir, VerifyOptions{Progress: func(done, total int64) {
		if done <= last || total != size {
			t.Errorf("%d of %d after %d", done, total, last)
		}
		last = done
	}})
	if err != nil || last != size || r.Bytes != size {
		t.Errorf("ended at %d and %d of %d: %v", last, r.Bytes, size, err)
	}
}

func TestVerifyCannot(t *testing.T) {
	o := options(t.TempDir())
	l := segmented(t, o, 10)
	mustTidy(t, l)
	mustClose(t, l)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Verify(ctx, o.Dir, VerifyOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if _, err := Verify(t.Context(), t.TempDir(), VerifyOptions{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a key: %v", err)
	}
}

func TestVerifyTorn(t *testing.T) {
	o := options(t.TempDir())
	l := mustOpen(t, o)
	mustAppend(t, l, records(1, 2)...)
	mustClose(t, l)
	name := fileName(1, plain)
	write(t, append(read(t, o.Dir, name), "{\"prev"...), o.Dir, name)
	if r := wantLog(t, o.Dir, records(1, 2)); r.TornBytes != 6 {
		t.Errorf("%d torn bytes", r.TornBytes)
	}
}

func TestReportIsBounded(t *testing.T) {
	var r Result
	for range 10 * maxCorruptions {
		r.add(&Corruption{})
	}
	if len(r.Corruptions) != maxCorruptions || r.CorruptionCount != 10*maxCorruptions || r.OK() {
		t.Errorf("%d of %d corruptions", len(r.Corruptions), r.CorruptionCount)
	}
}

// TestVerifyBesideAuditor reads a log that is being appended to, rotated,
// compressed and reduced.
func TestVerifyBesideAuditor(t *testing.T) {
	o := options(t.TempDir())
	o.SegmentBytes = 64 << 10
	o.KeepBytes = 256 << 10
	l := mustOpen(t, o)
	done := make(chan error)
	go func() {
		var err error
		for i := uint64(0); i < 120 && err == nil; i++ {
			if err = l.Append(records(i*50+1, i*50+50)); err == nil && i%7 == 0 {
				_, err = l.Checkpoint()
			}
			if err == nil && i%11 == 0 {
				err = l.Tidy(context.Background())
			}
		}
		done <- err
	}()
	for n := 0; ; n++ {
		r, err := Verify(t.Context(), o.Dir, VerifyOptions{})
		if err != nil || !r.OK() {
			t.Errorf("%v, %v", r.Corruptions, err)
		}
		_, errs := scanAll(o.Dir, 1)
		for _, err := range errs {
			t.Errorf("scanning: %v", err)
		}
		select {
		case err := <-done:
			if err != nil || n == 0 {
				t.Errorf("after %d: %v", n, err)
			}
			return
		default:
		}
	}
}
