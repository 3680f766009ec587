package render_test

import (
	"math"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/services/internal/render"
)

func TestSize(t *testing.T) {
	for n, want := range map[uint64]string{
		0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 4 << 30: "4.0 GiB", math.MaxUint64: "16.0 EiB",
	} {
		if got := render.Size(n); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
}

func TestTable(t *testing.T) {
	var out strings.Builder
	table := render.NewTable(&out, "NAME", "COUNT")
	table.Row("a\x1b[31mb\tc\nd", 12)
	if err := table.End(); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), "NAME         COUNT\na [31mb c d  12\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
