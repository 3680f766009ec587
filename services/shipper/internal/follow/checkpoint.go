package follow

import (
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"strconv"
	"strings"
	"time"
)

const (
	checkpointVersion = "1"
	generationLen     = 16
	tailLen           = 8
	// tailSize is how many bytes before an offset vouch for that offset.
	tailSize = 256
	// maxPositions bounds a checkpoint to under 13 KiB, which fits in a message
	// header: MaxFiles files, as many in their grace period after all of them were
	// rotated, and some that ended.
	maxPositions = 256
	// maxCheckpointLen rejects a foreign header before it is split.
	maxCheckpointLen = 32 << 10
	endedMark        = "end"
	lostMark         = "lost"
	drainedMark      = "read"
	hexDigits        = "0123456789abcdef"
)

// castagnoli is read only. CRC-32C is computed by the CPU on amd64 and arm64,
// which keeps the tail of a position affordable for every line.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Position is how far one generation of a file has been read.
type Position struct {
	// Series is the CRC-32C, as 8 hex digits, of the name that the file's writer
	// opens; empty unless the path is a pattern that several names may match.
	Series string
	// Generation is the first 16 hex digits of the SHA-256 of the generation's
	// first data line.
	Generation string
	// Nth is 2 or more for all but the first of the generations with the same first
	// line that were read one after another; 0 for the first.
	Nth int
	// Offset is the byte offset just after the last line read.
	Offset int64
	// Tail is the CRC-32C, as 8 hex digits, of the up to 256 bytes before
	// Offset. It distinguishes a file that was truncated and grew again, or another
	// file with the same first line, from the one that was read.
	Tail string
	// Ended says that the generation was read to its end and is not written
	// any more, so that its absence later is no loss.
	Ended bool
	// Drained says that nothing was left to read of it after its writer had begun
	// a newer one, though more might have come.
	Drained bool
	// Lost says that it has ended and what followed Offset was reported as a gap.
	Lost bool
}

// Checkpoint says exactly which lines of a source have been read. The zero
// value means that nothing has.
type Checkpoint struct {
	// Settled is a file modification time: a rotated file that was last
	// modified at or before it and is not among Positions has been read. Zero
	// means unknown.
	Settled time.Time
	// Positions are the generations still being read, and the few that ended
	// last, oldest first.
	Positions []Position
}

// IsZero reports whether c is the checkpoint of a source of which nothing has
// been read.
func (c Checkpoint) IsZero() bool {
	return c.Settled.IsZero() && len(c.Positions) == 0
}

// String returns c as printable ASCII without spaces, fit for a message
// header. The zero Checkpoint is the empty string.
func (c Checkpoint) String() string {
	if c.IsZero() {
		return ""
	}
	b := appendSettled(nil, c.Settled)
	for i, p := range c.Positions {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendGeneration(b, p.Series, generationName(p.Generation, p.Nth))
		b = strconv.AppendInt(b, p.Offset, 10)
		b = append(b, ':')
		b = append(b, p.Tail...)
		b = appendMark(b, p.Ended, p.Lost, p.Drained)
	}
	return string(b)
}

// appendSettled appends everything that precedes the positions.
func appendSettled(b []byte, settled time.Time) []byte {
	b = append(b, checkpointVersion...)
	b = append(b, ';')
	if !settled.IsZero() {
		b = strconv.AppendInt(b, settled.UnixNano(), 10)
	}
	return append(b, ';')
}

// appendGeneration appends what a position begins with.
func appendGeneration(b []byte, series, generation string) []byte {
	if series != "" {
		b = append(append(b, series...), '/')
	}
	return append(append(b, generation...), ':')
}

// generationName is how a checkpoint and events name a generation.
func generationName(id string, nth int) string {
	if nth < 2 {
		return id
	}
	return id + "." + strconv.Itoa(nth)
}

// appendMark appends what says that a generation has ended.
func appendMark(b []byte, ended, lost, drained bool) []byte {
	switch {
	case lost:
		return append(append(b, ':'), lostMark...)
	case ended:
		return append(append(b, ':'), endedMark...)
	case drained:
		return append(append(b, ':'), drainedMark...)
	default:
		return b
	}
}

// appendTail appends sum as Position.Tail spells it.
func appendTail(b []byte, sum uint32) []byte {
	for shift := 28; shift >= 0; shift -= 4 {
		b = append(b, hexDigits[sum>>shift&0xf])
	}
	return b
}

// ParseCheckpoint reads what Checkpoint.String or Batch.AppendCheckpoint
// wrote; the empty string is the zero Checkpoint. It accepts nothing else: a
// checkpoint that is nearly right would skip or repeat lines.
func ParseCheckpoint(s string) (Checkpoint, error) {
	var c Checkpoint
	if s == "" {
		return c, nil
	}
	if len(s) > maxCheckpointLen {
		return c, fmt.Errorf("parsing checkpoint: %d bytes, at most %d are allowed", len(s), maxCheckpointLen)
	}
	fields := strings.Split(s, ";")
	if len(fields) != 3 || fields[0] != checkpointVersion {
		return c, fmt.Errorf("parsing checkpoint %.80q: not of the form %s;<settled>;<positions>", s, checkpointVersion)
	}
	if fields[1] != "" {
		ns, err := parseNumber(fields[1])
		if err != nil {
			return c, fmt.Errorf("parsing checkpoint time: %w", err)
		}
		c.Settled = time.Unix(0, ns)
	}
	if fields[2] != "" {
		entries := strings.Split(fields[2], ",")
		if len(entries) > maxPositions {
			return Checkpoint{}, fmt.Errorf("parsing checkpoint: %d positions, at most %d are allowed", len(entries), maxPositions)
		}
		for _, entry := range entries {
			p, err := parsePosition(entry)
			if err != nil {
				return Checkpoint{}, fmt.Errorf("parsing checkpoint position %.80q: %w", entry, err)
			}
			c.Positions = append(c.Positions, p)
		}
	}
	if c.IsZero() {
		return c, errors.New("parsing checkpoint: it holds neither a time nor a position")
	}
	return c, nil
}

func parsePosition(s string) (Position, error) {
	var p Position
	if series, rest, ok := strings.Cut(s, "/"); ok {
		if series == "" {
			return p, errors.New("its series is empty")
		}
		p.Series, s = series, rest
	}
	parts := strings.Split(s, ":")
	switch {
	case len(parts) == 3:
	case len(parts) == 4 && parts[3] == endedMark:
		p.Ended = true
	case len(parts) == 4 && parts[3] == lostMark:
		p.Ended, p.Lost = true, true
	case len(parts) == 4 && parts[3] == drainedMark:
		p.Drained = true
	default:
		return p, errors.New("not of the form [<series>/]<generation>[.<nth>]:<offset>:<tail>[:read|:end|:lost]")
	}
	if generation, nth, ok := strings.Cut(parts[0], "."); ok {
		n, err := parseNumber(nth)
		if err != nil || n < 2 || n > math.MaxInt32 {
			return Position{}, fmt.Errorf("%q is not the number of a generation with the same first line", nth)
		}
		parts[0], p.Nth = generation, int(n)
	}
	offset, err := parseNumber(parts[1])
	if err != nil {
		return Position{}, fmt.Errorf("parsing offset: %w", err)
	}
	p.Generation, p.Offset, p.Tail = parts[0], offset, parts[2]
	return p, p.validate()
}

func (p Position) validate() error {
	switch {
	case p.Series != "" && !isHex(p.Series, tailLen):
		return fmt.Errorf("series %q is not %d hex digits", p.Series, tailLen)
	case !isHex(p.Generation, generationLen):
		return fmt.Errorf("generation %q is not %d hex digits", p.Generation, generationLen)
	case p.Offset < 0:
		return fmt.Errorf("offset %d is negative", p.Offset)
	case !isHex(p.Tail, tailLen):
		return fmt.Errorf("tail %q is not %d hex digits", p.Tail, tailLen)
	case p.Nth < 0 || p.Nth == 1 || p.Nth > math.MaxInt32:
		return fmt.Errorf("%d is not the number of a generation with the same first line", p.Nth)
	case p.Drained && p.Ended:
		return errors.New("it is both drained and ended")
	case p.Lost && !p.Ended:
		return errors.New("it is lost but has not ended")
	default:
		return nil
	}
}

// parseNumber accepts the one decimal spelling of a number from 0 to the
// largest int64.
func parseNumber(s string) (int64, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, err
	}
	if n > math.MaxInt64 || strconv.FormatUint(n, 10) != s {
		return 0, fmt.Errorf("%q is not a plain decimal number of 63 bits", s)
	}
	return int64(n), nil
}

func isHex(s string, length int) bool {
	if len(s) != length {
		return false
	}
	for i := range len(s) {
		if strings.IndexByte(hexDigits, s[i]) < 0 {
			return false
		}
	}
	return true
}

// tailSum is the checksum of the bytes before an offset.
func tailSum(tail []byte) uint32 { return crc32.Checksum(tail, castagnoli) }
