package proxy

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/proxy/internal/spool"
	"github.com/openclaw-security/bus/services/testing/bustest"
	"github.com/openclaw-security/bus/services/testing/llmtest"
)

// TestGoesOnWithAnEarlierSpool starts on a directory that a proxy of schema
// version 1 has left when it was killed, with some of its records in the streams:
// each record is stored once, in order, and equal prompts have equal hashes.
//
// It was recorded with that proxy, NATS and the provider being out of reach, by
// requests whose users said "one", "two", a canary, "three" and the canary again.
func TestGoesOnWithAnEarlierSpool(t *testing.T) {
	for _, test := range []struct {
		published int // records of each kind
		retired   int // of its alerts, those in the stream that schema version 2 had
	}{{0, 0}, {1, 0}, {2, 0}, {1, 1}, {2, 2}, {2, 1}} {
		t.Run(fmt.Sprintf("%d published, %d before the upgrade", test.published, test.retired), func(t *testing.T) {
			b := bustest.Start(t, bustest.Unprovisioned(), bustest.Grant(bus.RoleProvisioner, bus.GrantCreate(proto.StreamSecurity)...))
			dir := filepath.Join(t.TempDir(), "audit")
			if err := os.CopyFS(dir, os.DirFS("testdata/spool-schema-1")); err != nil {
				t.Fatal(err)
			}
			audits, alerts := recorded(t, dir, "audit"), recorded(t, dir, "alert")
			if len(audits) != 8 || len(alerts) != 2 {
				t.Fatalf("the recording holds %d audits and %d alerts", len(audits), len(alerts))
			}
			if test.retired > 0 {
				makeRetired(t, b)
				store(t, b, proto.StreamSecurity, alerts[:test.retired])
			}
			if _, err := b.Conn(t, bus.RoleProvisioner).Provision(t.Context(), bus.ProvisionConfig{Streams: bustest.SourceStreams()}); err != nil {
				t.Fatal(err)
			}
			store(t, b, proto.StreamAudit, audits[:test.published])
			store(t, b, spool.AlertsStream, alerts[test.retired:test.published])

			r := newRigOn(t, b, func(c *Config) { c.AuditDir = dir })
			r.holds(proto.StreamAudit, audits)
			r.holds(spool.AlertsStream, alerts[test.retired:])
			if test.retired > 0 {
				r.holds(proto.StreamSecurity, alerts[:test.retired])
			}
			r.post("/v1/messages", message(false, "one"))
			all := r.audits(len(audits) + 2)
			if first, last := all[0], all[len(all)-1]; first.PromptHMAC != last.PromptHMAC || first.PromptHMAC == "" {
				t.Errorf("the hash of one prompt was %q and is %q", first.PromptHMAC, last.PromptHMAC)
			}
			// Behind all that waited: what was stored before was not stored again.
			r.post("/v1/messages", message(false, llmtest.Key))
			r.alerts(len(alerts) - test.retired + 1)
		})
	}
}

// recorded returns the records of a queue as the proxy that left them published them.
func recorded(t *testing.T, dir, queue string) []*nats.Msg {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, queue+"-*.spool"))
	if err != nil || len(paths) != 1 {
		t.Fatal(paths, err)
	}
	content, err := os.ReadFile(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	segment := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(paths[0]), queue+"-"), ".spool")
	var msgs []*nats.Msg
	offset := 0
	for line := range bytes.Lines(content) {
		offset += len(line)
		fields := strings.SplitN(strings.TrimSuffix(string(line), "\n"), " ", 5)
		msgs = append(msgs, &nats.Msg{Subject: fields[2], Data: []byte(fields[4]), Header: nats.Header{
			proto.HeaderEventID:  {fields[3]},
			"Shipper-Checkpoint": {fmt.Sprintf("%s:%d", segment, offset)},
			"Shipper-Instance":   {"abcdefghijklmnop"},
		}})
	}
	return msgs
}

// makeRetired makes the stream of all sources' alerts and events, as schema version 2
// had it.
func makeRetired(t *testing.T, b *bustest.Bus) {
	t.Helper()
	js, err := jetstream.New(b.Raw(t, bus.RoleProvisioner))
	if err != nil {
		t.Fatal(err)
	}
	stored := proto.StoredPrefix + ".>"
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name:               proto.StreamSecurity,
		Subjects:           []string{proto.IngestPrefix + ".alert.>", proto.IngestPrefix + ".event.>"},
		SubjectTransform:   &jetstream.SubjectTransformConfig{Source: proto.IngestPrefix + ".>", Destination: stored},
		RePublish:          &jetstream.RePublish{Source: stored, Destination: stored},
		MaxAge:             30 * 24 * time.Hour,
		MaxBytes:           4 << 30,
		AllowDirect:        true,
		AllowAtomicPublish: true,
		Metadata:           map[string]string{proto.MetadataSchema: "2"},
	}); err != nil {
		t.Fatal(err)
	}
}

func store(t *testing.T, b *bustest.Bus, stream string, msgs []*nats.Msg) {
	t.Helper()
	if len(msgs) == 0 {
		return
	}
	fence := bus.NewFence(b.Conn(t, Role), stream, proto.SourceFilter(bustest.Host, source))
	if _, err := fence.Last(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := fence.Publish(t.Context(), msgs); err != nil {
		t.Fatal(err)
	}
}

// holds checks that a stream holds these records, in order, once.
func (r *rig) holds(stream string, want []*nats.Msg) {
	r.t.Helper()
	var ids, wantIDs []string
	for _, m := range want {
		wantIDs = append(wantIDs, m.Header.Get(proto.HeaderEventID))
	}
	for _, s := range r.stored(stream, len(want)) {
		ids = append(ids, s.Header.Get(proto.HeaderEventID))
	}
	if !slices.Equal(ids, wantIDs) {
		r.t.Errorf("%s holds %v, want %v", stream, ids, wantIDs)
	}
}
