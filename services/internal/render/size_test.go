package render_test

import (
	"math"
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
