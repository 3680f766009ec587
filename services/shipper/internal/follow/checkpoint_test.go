package follow

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestCheckpoint(t *testing.T) {
	for _, c := range []struct {
		text string
		want Checkpoint
	}{
		{"", Checkpoint{}},
		{"1;0;", Checkpoint{Settled: time.Unix(0, 0)}},
		{"1;;0123456789abcdef:0:00000000", Checkpoint{Positions: []Position{
			{Generation: "0123456789abcdef", Tail: "00000000"},
		}}},
		{"1;0;0a1b2c3d/0123456789abcdef:12:cafe0001:end", Checkpoint{
			Settled: time.Unix(0, 0),
			Positions: []Position{
				{Series: "0a1b2c3d", Generation: "0123456789abcdef", Offset: 12, Tail: "cafe0001", Ended: true},
			},
		}},
		{"1;0;0123456789abcdef.12:12:cafe0001:read", Checkpoint{
			Settled:   time.Unix(0, 0),
			Positions: []Position{{Generation: "0123456789abcdef", Nth: 12, Offset: 12, Tail: "cafe0001", Drained: true}},
		}},
		{"1;1700000000123456789;0123456789abcdef:12:cafe0001:end,fedcba9876543210:9:00000002:lost,0000000000000001:7:00000003", Checkpoint{
			Settled: time.Unix(1700000000, 123456789),
			Positions: []Position{
				{Generation: "0123456789abcdef", Offset: 12, Tail: "cafe0001", Ended: true},
				{Generation: "fedcba9876543210", Offset: 9, Tail: "00000002", Ended: true, Lost: true},
				{Generation: "0000000000000001", Offset: 7, Tail: "00000003"},
			},
		}},
	} {
		got, err := ParseCheckpoint(c.text)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q: %+v, %v, want %+v", c.text, got, err, c.want)
		}
		if s := got.String(); s != c.text {
			t.Errorf("%q is written back as %q", c.text, s)
		}
	}
}

func TestCheckpointMalformed(t *testing.T) {
	const p = "0123456789abcdef:12:cafe0001"
	for name, text := range map[string]string{
		"empty fields":         "1;;",
		"another version":      "2;0;" + p,
		"no version":           p,
		"a space":              " 1;0;" + p,
		"a field too many":     "1;0;" + p + ";",
		"an empty position":    "1;0;" + p + ",",
		"empty series":         "1;0;/" + p,
		"short series":         "1;0;0a1b2c3/" + p,
		"two series":           "1;0;0a1b2c3d/0a1b2c3d/" + p,
		"short generation":     "1;0;0123456789abcde:12:cafe0001",
		"upper case":           "1;0;0123456789ABCDEF:12:cafe0001",
		"negative offset":      "1;0;0123456789abcdef:-12:cafe0001",
		"leading zero":         "1;0;0123456789abcdef:012:cafe0001",
		"plus sign":            "1;0;0123456789abcdef:+12:cafe0001",
		"offset out of range":  "1;0;0123456789abcdef:9223372036854775808:cafe0001",
		"no tail":              "1;0;0123456789abcdef:12",
		"short tail":           "1;0;0123456789abcdef:12:cafe001",
		"unknown mark":         "1;0;" + p + ":ended",
		"the first of several": "1;0;0123456789abcdef.1:12:cafe0001",
		"no number":            "1;0;0123456789abcdef.:12:cafe0001",
		"a signed number":      "1;0;0123456789abcdef.+2:12:cafe0001",
		"a long number":        "1;0;0123456789abcdef.2147483648:12:cafe0001",
		"a part too many":      "1;0;" + p + ":end:end",
		"time out of range":    "1;9223372036854775808;" + p,
		"too many positions":   "1;0;" + strings.Repeat(p+",", maxPositions) + p,
		"longer than a header": "1;0;" + strings.Repeat("x", maxCheckpointLen),
	} {
		t.Run(name, func(t *testing.T) {
			if c, err := ParseCheckpoint(text); err == nil {
				t.Errorf("%q was accepted as %+v", text, c)
			}
		})
	}
}

func FuzzParseCheckpoint(f *testing.F) {
	for _, s := range []string{
		"", "1;0;", "1;;0123456789abcdef:0:00000000", "1;;", "1;01;0123456789abcdef:0:00000000",
		"1;1700000000123456789;0a1b2c3d/0123456789abcdef:12:cafe0001:end,0000000000000001:7:00000003:lost",
		"1;0;0123456789abcdef.2:0:00000000:read", "1;0;0123456789abcdef.02:0:00000000",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ParseCheckpoint(s)
		if err != nil {
			return
		}
		if got := c.String(); got != s {
			t.Errorf("%q is written back as %q", s, got)
		}
		for i := range len(s) {
			if s[i] <= ' ' || s[i] > '~' {
				t.Errorf("%q holds the byte %#x", s, s[i])
			}
		}
	})
}
