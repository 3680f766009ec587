package cli

import (
	"strconv"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
)

func retentionOf(storeMax int64) Retention { return Retention{StoreMax: storeMax} }

func sources(n int) []proto.Stream {
	names := []proto.SourceName{{Name: "suricata", Events: true}, {Name: "tracee", Events: true}, {Name: "proxy"}, {Name: "notifier"}, {Name: "auditor"}}
	for i := range n {
		names = append(names, proto.SourceName{Name: "more" + strings.Repeat("-x", i), Events: true})
	}
	return proto.SourceStreams(names)
}

// No share of a store that is accepted is too small for its stream, and all shares fit
// into the store.
func TestSharesHaveAFloor(t *testing.T) {
	for more, enough := range map[int]int64{0: 240 << 20, 1: 300 << 20, 10: 900 << 20} {
		streams := sources(more)
		if err := retentionOf(enough).check(streams); err != nil {
			t.Errorf("with %d more sources: %v", more, err)
		}
		// The smallest that is accepted.
		smallest := enough
		for retentionOf(smallest-1<<20).check(streams) == nil {
			smallest -= 1 << 20
		}
		t.Logf("with %d more sources %d MiB are needed", more, smallest>>20)
		limits := retentionOf(smallest).limits(streams)
		var sum int64
		for _, s := range append(proto.Streams(), streams...) {
			if s.MinBytes == 0 || limits[s.Name].MaxBytes < s.MinBytes {
				t.Errorf("%s gets %d bytes, and does its work with %d", s.Name, limits[s.Name].MaxBytes, s.MinBytes)
			}
			sum += limits[s.Name].MaxBytes
		}
		if sum > smallest {
			t.Errorf("the streams take %d of %d bytes", sum, smallest)
		}
		err := retentionOf(smallest - 1).check(streams)
		if err == nil || !strings.Contains(err.Error(), "STORE_MAX") || !strings.Contains(err.Error(), strconv.FormatInt(smallest, 10)) {
			t.Errorf("one byte less: %v", err)
		}
	}
}

// The floors are what the streams' contents need.
func TestFloorsFitWhatIsStored(t *testing.T) {
	for _, s := range append(proto.Streams(), sources(0)...) {
		switch {
		case strings.HasPrefix(s.Name, proto.EventsPrefix) && s.MinBytes < 2*bus.MaxBatchBytes:
			t.Errorf("%s does not hold two batches", s.Name)
		case s.Name == proto.StreamState && s.MinBytes < 40*proto.MaxState:
			t.Errorf("%s does not hold 40 values", s.Name)
		case s.MaxMsgBytes > 0 && s.MinBytes < 8*s.MaxMsgBytes, s.MinBytes > s.MaxBytes:
			t.Errorf("%s: %+v", s.Name, s)
		}
	}
}

// A setting for some streams by itself is taken as it is, and leaves the others their
// shares.
func TestSetSizesAreNoShares(t *testing.T) {
	r := retentionOf(240 << 20)
	r.AuditMaxBytes = 1 << 20
	if err := r.check(sources(0)); err != nil {
		t.Error(err)
	}
	if got := r.limits(sources(0))[proto.StreamAudit].MaxBytes; got != 1<<20 {
		t.Errorf("%s gets %d bytes", proto.StreamAudit, got)
	}
}
