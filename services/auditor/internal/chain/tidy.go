package chain

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/klauspost/compress/zstd"
)

// Tidy compresses the segments that have been closed and removes those that are to
// be kept no longer. It runs beside Append and is meant to be called about every
// minute; it ends early with ctx. After an error the log is intact, and a later Tidy
// continues.
//
// A segment that is not as it was written is not removed: it is evidence, and the
// error wraps a [*Corruption].
func (l *Log) Tidy(ctx context.Context) error {
	l.tidying.Lock()
	defer l.tidying.Unlock()
	l.mu.Lock()
	// A copy: Append goes on counting in the newest one.
	closed, segments, head := l.closed, slices.Clone(l.segments), l.head.Seq
	l.mu.Unlock()
	if closed {
		return ErrClosed
	}
	err := l.compressAll(ctx, segments)
	if err == nil {
		err = l.retain(ctx, segments, head)
	}
	if err != nil {
		return fmt.Errorf("tidying the audit log: %w", noSpace(err))
	}
	return nil
}

// compressAll compresses all but the newest segment.
func (l *Log) compressAll(ctx context.Context, segments []segment) error {
	files, err := listSegments(l.dir)
	if err != nil {
		return err
	}
	for _, f := range current(files) {
		if f.form != plain || f.number >= segments[len(segments)-1].number {
			continue
		}
		if err := l.compress(ctx, f.number); err != nil {
			return fmt.Errorf("compressing %s: %w", f.name(), err)
		}
	}
	return nil
}

// compressWindow is how far back compression looks, in bytes. What repeats in the
// records repeats within less, and a reader needs as much memory.
const compressWindow = 1 << 20

func (l *Log) compress(ctx context.Context, number uint64) error {
	s, err := openSegment(l.dir, number, untilDone(ctx))
	if err != nil {
		return err
	}
	defer s.close()
	path := filepath.Join(l.dir, fileName(number, compressed))
	out, err := os.OpenFile(path+tmpSuffix, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = compressTo(ctx, out, s)
	if err := putInPlace(out, path, err); err != nil {
		return err
	}
	return l.remove(number, plain)
}

// compressTo writes what s has to out, and reads it back to see that it is there.
func compressTo(ctx context.Context, out *os.File, s *source) error {
	encoder, err := zstd.NewWriter(out, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(compressWindow), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return err
	}
	want, got := sha256.New(), sha256.New()
	_, err = io.Copy(encoder, io.TeeReader(s, want))
	if err := errors.Join(err, encoder.Close()); err != nil {
		return err
	}
	if err := out.Sync(); err != nil {
		return err
	}
	if _, err := out.Seek(0, io.SeekStart); err != nil {
		return err
	}
	decoder, err := zstd.NewReader(metered{out, untilDone(ctx)}, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
	if err != nil {
		return err
	}
	defer decoder.Close()
	if _, err := io.Copy(got, decoder); err != nil {
		return fmt.Errorf("reading it back: %w", err)
	}
	if Hash(want.Sum(nil)) != Hash(got.Sum(nil)) {
		return errors.New("reading it back: it is something else")
	}
	return nil
}

// remove removes the forms of a segment from one on back to the first.
func (l *Log) remove(number uint64, from form) error {
	for f := from; f >= plain; f-- {
		if err := removeIfThere(filepath.Join(l.dir, fileName(number, f))); err != nil {
			return err
		}
	}
	return syncDir(l.dir)
}

// retain removes the oldest segments by the options KeepFor and KeepBytes.
func (l *Log) retain(ctx context.Context, segments []segment, head uint64) error {
	files, err := listSegments(l.dir)
	if err != nil {
		return err
	}
	var size int64
	for _, f := range files {
		size += f.size
	}
	now := l.now()
	for _, f := range current(files) {
		// The one with the last record stays: Open continues from it.
		if f.number >= uint64(len(segments)) || segments[f.number].firstSeq > head {
			break
		}
		if f.form == stub {
			continue
		}
		next := segments[f.number] // which was made when f was closed
		var reason string
		switch {
		case l.keepFor > 0 && now.Sub(next.created) > l.keepFor:
			reason = "age"
		case l.keepBytes > 0 && size > l.keepBytes:
			reason = "size"
		default:
			return nil
		}
		if err := l.reduce(ctx, f, reason, now); err != nil {
			return fmt.Errorf("removing %s: %w", f.name(), err)
		}
		size -= f.size
	}
	return nil
}

// reduce puts a stub in the place of a segment, which it reads through before.
func (l *Log) reduce(ctx context.Context, f segmentFile, reason string, now time.Time) error {
	c := newChecker(l.publicKey())
	c.skip()
	if _, err := readSegment(ctx, l.dir, f.number, c, func(line) {}); err != nil {
		return err
	}
	if c.stage != stageClosed {
		return c.last.corruption("the segment ends behind this line without a footer")
	}
	removed, err := signRemoval(l.key, c.prev, &removal{
		Segment:   f.number,
		Reason:    reason,
		Time:      now.UTC(),
		PublicKey: l.publicKey(),
	})
	if err != nil {
		return err
	}
	text := append([]byte(nil), c.ends...)
	last, err := removed.encode()
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(l.dir, fileName(f.number, stub)), append(text, last...)); err != nil {
		return err
	}
	if err := l.remove(f.number, compressed); err != nil {
		return err
	}
	l.log.Info("removed a segment of the audit log", "segment", f.number,
		"first_seq", c.first, "last_seq", c.seq, "reason", reason)
	return nil
}
