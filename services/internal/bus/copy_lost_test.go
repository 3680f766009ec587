package bus_test

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/bustest"
	"github.com/openclaw-security/bus/services/internal/natsd"
)

// Why copies are synced: what the server has noted of how far it has copied, it
// believes even where the copies themselves are gone, as they can be after a power
// cut if they were not synced. This is about nats-server, not about the bus: when it
// fails, the server has learnt to copy again, and alerts may be copied without a
// sync for each (design.md, Streams).
func TestServerDoesNotCopyAgainWhatItNotedAsCopied(t *testing.T) {
	const before, after = 500, 50
	k := &killable{t: t, dir: t.TempDir()}
	ids, err := killableKeys(k.dir)
	if err != nil {
		t.Fatal(err)
	}
	start := func() *natsd.Server {
		t.Helper()
		s, err := natsd.Start(natsd.Config{Dir: filepath.Join(k.dir, "nats"), Listen: "127.0.0.1:0", Roles: killableRoles(), PublicKeys: ids.PublicKeys()})
		if err != nil {
			t.Fatal(err)
		}
		k.url = s.URL()
		return s
	}
	publishFrom := func(from, n int) {
		t.Helper()
		msgs := make([]*nats.Msg, n)
		for i := range msgs {
			msgs[i] = message(bustest.Tracee, proto.SeverityHigh, strconv.Itoa(from+i))
		}
		publish(t, armed(t, k.connect(bus.ShipperRole(bustest.Tracee)), bustest.Tracee), msgs...)
	}
	copied := func(last int) (ids []string) {
		t.Helper()
		operator := k.connect(bus.RoleOperator)
		bustest.Eventually(t, "the last alert is copied", func() bool {
			ids, _ = storedAlerts(t, operator, proto.StreamAlerts)
			return len(ids) > 0 && ids[len(ids)-1] == strconv.Itoa(last)
		})
		return ids
	}

	s := start()
	if _, err := k.connect(bus.RoleProvisioner).Provision(deadlineContext(t), bus.Plan{}); err != nil {
		t.Fatal(err)
	}
	publishFrom(0, before)
	copied(before - 1)
	if err := s.Shutdown(deadlineContext(t)); err != nil { // writes the note
		t.Fatal(err)
	}
	blocks, err := filepath.Glob(filepath.Join(k.dir, "nats", "jetstream", "*", "streams", proto.StreamAlerts, "msgs", "*.blk"))
	if err != nil || len(blocks) != 1 {
		t.Fatalf("blocks %q, %v", blocks, err)
	}
	info, err := os.Stat(blocks[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(blocks[0], info.Size()/2); err != nil {
		t.Fatal(err)
	}

	s = start()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), deadline)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	publishFrom(before, after)
	if n := len(copied(before + after - 1)); n == before+after {
		t.Errorf("all %d alerts are there: the server has copied again what was gone", n)
	} else {
		t.Logf("%d of %d alerts are there", n, before+after)
	}
}
