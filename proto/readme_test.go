package proto_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/openclaw-security/bus/proto"
)

// TestReadme: the tables of README.md have every stream, with its limits, and
// every header.
func TestReadme(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	readme := string(b)
	want := []string{"`" + proto.MetadataSchema + "`"}
	for _, header := range headerConstants(t) {
		want = append(want, "`"+header+"`")
	}
	for _, s := range proto.SourceStreams([]proto.SourceName{{Name: "source", Events: true}}) {
		name, _, _ := strings.Cut(s.Name, "_")
		want = append(want, "| `"+name+"_<source>` |", fmt.Sprintf("%d days", s.MaxAge/(24*time.Hour)))
	}
	for _, s := range proto.Streams() {
		want = append(want, "| `"+s.Name+"` |", limits(s))
	}
	for _, w := range want {
		if !strings.Contains(readme, w) {
			t.Errorf("README.md does not have %s", w)
		}
	}
}

// limits writes a stream's limits as the README does.
func limits(s proto.Stream) string {
	size, unit := s.MaxBytes>>30, "GiB"
	if size == 0 {
		size, unit = s.MaxBytes>>20, "MiB"
	}
	policy := map[proto.Discard]string{proto.DiscardOld: "drops the oldest", proto.DiscardNew: "refuses the new one"}
	return fmt.Sprintf("| %d days, %d %s | %s |", s.MaxAge/(24*time.Hour), size, unit, policy[s.Discard])
}
