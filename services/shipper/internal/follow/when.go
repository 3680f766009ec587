package follow

import (
	"bytes"
	"regexp"
	"strconv"
	"time"
)

// What a line says of its time decides between files of which names and
// modification times do not tell which was read: names of unknown notation, and
// times that copying or compressing has changed. The first time in a line is the
// sensor's own: Suricata, Tracee, Zeek, and Falco begin with it, or have the same
// one before.
var (
	isoTime   = regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?`)
	epochTime = regexp.MustCompile(`"@?(?:timestamp|ts|time|date)":\s*"?(\d{9,19})(?:\.(\d{1,9}))?\b`)
)

// timeIn is how much of a line is searched for its time.
const timeIn = 8 << 10

// lineTime returns the time that a line states, or the zero time. One without a
// zone counts as UTC: it is compared only with others of its file's writer.
func lineTime(line []byte) time.Time {
	line = line[:min(len(line), timeIn)]
	iso, epoch := isoTime.FindIndex(line), epochTime.FindSubmatchIndex(line)
	if epoch != nil && (iso == nil || epoch[0] < iso[0]) {
		return sinceEpoch(line[epoch[2]:epoch[3]], epoch, line)
	}
	if iso == nil {
		return time.Time{}
	}
	text := bytes.Replace(line[iso[0]:iso[1]], []byte{','}, []byte{'.'}, 1)
	text = bytes.Replace(text, []byte{' '}, []byte{'T'}, 1)
	for _, layout := range []string{"2006-01-02T15:04:05Z0700", time.RFC3339, "2006-01-02T15:04:05"} {
		if t, err := time.Parse(layout, string(text)); err == nil {
			return t
		}
	}
	return time.Time{}
}

// sinceEpoch reads a number of seconds since 1970, of which some sensors write
// thousands, millions or billions.
func sinceEpoch(number []byte, match []int, line []byte) time.Time {
	n, err := strconv.ParseInt(string(number), 10, 64)
	if err != nil {
		return time.Time{}
	}
	switch {
	case n >= 1e17:
		return time.Unix(0, n).UTC()
	case n >= 1e14:
		return time.UnixMicro(n).UTC()
	case n >= 1e11:
		return time.UnixMilli(n).UTC()
	}
	var fraction int64
	if match[4] >= 0 {
		digits := append(bytes.Clone(line[match[4]:match[5]]), "000000000"...)
		fraction, _ = strconv.ParseInt(string(digits[:9]), 10, 64)
	}
	return time.Unix(n, fraction).UTC()
}
