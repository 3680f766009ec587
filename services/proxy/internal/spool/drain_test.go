package spool

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/publish"
	"github.com/openclaw-security/bus/services/testing/bustest"
	"github.com/openclaw-security/bus/services/testing/testenv"
)

func TestRecordsReachTheirStreams(t *testing.T) {
	b := bustest.Start(t)
	s := openSpool(t, t.TempDir())
	add(t, s, "before")
	r := run(t, s, b.Conn(t, bus.RoleProxy))
	add(t, s, "after")
	bustest.Eventually(t, "all is stored", s.drained)
	r.close(t)
	wantStored(t, b, []string{"before", "after"})

	audits, alerts := stored(t, b, proto.StreamAudit), stored(t, b, proto.AlertsStream(Source))
	if s := audits[0].Subject; s != "security.audit.box1.proxy.request.info" {
		t.Errorf("an audit under %s", s)
	}
	if s := alerts[0].Subject; s != "security.alert.box1.proxy.guard.high" {
		t.Errorf("an alert under %s", s)
	}
	want, err := json.Marshal(request("before"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(audits[0].Data, want) {
		t.Errorf("audit %s, want %s", audits[0].Data, want)
	}
	if want := alert("before").AppendJSON(nil); !bytes.Equal(alerts[0].Data, want) {
		t.Errorf("alert %s, want %s", alerts[0].Data, want)
	}
}

// TestTheSpoolIsEmptiedAtTheEnd flushes what was appended while Run was told to
// stop.
func TestTheSpoolIsEmptiedAtTheEnd(t *testing.T) {
	b := bustest.Start(t)
	dir := t.TempDir()
	s := openSpool(t, dir)
	add(t, s, numbered(0, 50)...)
	r := run(t, s, b.Conn(t, bus.RoleProxy))
	r.close(t)
	wantStored(t, b, numbered(0, 50))
	if left := append(segments(t, dir, "audit"), segments(t, dir, "alert")...); len(left) != 0 {
		t.Errorf("left on disk: %v", left)
	}
}

func TestAnAbsentServerIsWaitedOut(t *testing.T) {
	b := bustest.Start(t)
	s := openSpool(t, t.TempDir(), func(o *Options) { o.Log = bustest.Log(t) })
	r := run(t, s, b.Conn(t, bus.RoleProxy))
	add(t, s, "1")
	bustest.Eventually(t, "the first is stored", s.drained)
	b.Stop(t)
	add(t, s, numbered(2, 100)...)
	b.Restart(t)
	bustest.Eventually(t, "the rest is stored", s.drained)
	r.close(t)
	wantStored(t, b, numbered(1, 100))
}

// TestAnAbsentServerDoesNotHoldUpTheEnd tells Run to stop while there is nobody
// to publish to; what waits is published by the next.
func TestAnAbsentServerDoesNotHoldUpTheEnd(t *testing.T) {
	b := bustest.Start(t)
	dir := t.TempDir()
	conn := b.Conn(t, bus.RoleProxy)
	b.Stop(t)
	r := run(t, openSpool(t, dir), conn)
	add(t, r.Spool, "1", "2")
	r.close(t)

	b.Restart(t)
	r = run(t, openSpool(t, dir), b.Conn(t, bus.RoleProxy))
	bustest.Eventually(t, "all is stored", r.drained)
	r.close(t)
	wantStored(t, b, []string{"1", "2"})
}

// TestOnceOverRestarts ends the Spool and the server again and again while records
// come.
func TestOnceOverRestarts(t *testing.T) {
	seed := testenv.Seed(t)
	random := rand.New(rand.NewPCG(seed, 0))
	b := bustest.Start(t)
	dir := t.TempDir()
	n := 0
	appendSome := func(s *Spool) {
		next := n + random.IntN(120)
		add(t, s, numbered(n, next)...)
		n = next
	}
	r := run(t, openSpool(t, dir), b.Conn(t, bus.RoleProxy))
	for range 8 {
		appendSome(r.Spool)
		switch random.IntN(4) {
		case 0:
			b.Restart(t)
		case 1:
			// Without a server: what waits stays on disk.
			b.Stop(t)
			appendSome(r.Spool)
			r.close(t)
			r.Spool = openSpool(t, dir)
			appendSome(r.Spool)
			b.Restart(t)
			r = run(t, r.Spool, b.Conn(t, bus.RoleProxy))
		case 2:
			r.close(t)
			r = run(t, openSpool(t, dir), b.Conn(t, bus.RoleProxy))
		default:
			bustest.Eventually(t, "all is stored", r.drained)
		}
	}
	bustest.Eventually(t, "all is stored", r.drained)
	r.close(t)
	wantStored(t, b, numbered(0, n))
}

// TestAnotherSpoolIsNew deletes the directory between two runs: nothing in the
// new one may be taken for something that was in the old.
func TestAnotherSpoolIsNew(t *testing.T) {
	b := bustest.Start(t)
	conn := b.Conn(t, bus.RoleProxy)
	dir := t.TempDir()
	for _, ids := range [][]string{numbered(0, 40), numbered(40, 50), numbered(50, 90)} {
		s := openSpool(t, dir)
		add(t, s, ids...)
		r := run(t, s, conn)
		bustest.Eventually(t, "all is stored", s.drained)
		r.close(t)
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	wantStored(t, b, numbered(0, 90))
}

// TestAFullAuditStreamHoldsUpNoAlert fills SECURITY_AUDIT, which takes nothing
// more then, and makes room later.
func TestAFullAuditStreamHoldsUpNoAlert(t *testing.T) {
	plan := bus.ProvisionConfig{Limits: map[string]bus.Limits{proto.StreamAudit: {MaxBytes: 1 << 20}}}
	b := bustest.Start(t, bustest.Provision(plan))
	s := openSpool(t, t.TempDir())
	r := run(t, s, b.Conn(t, bus.RoleProxy))
	a := request("")
	a.Reason = strings.Repeat("x", 50<<10)
	for _, id := range numbered(0, 40) {
		a.ID = id
		if err := s.AppendAudit(a); err != nil {
			t.Fatal(err)
		}
		if err := s.AppendAlert(alert(id)); err != nil {
			t.Fatal(err)
		}
	}
	bustest.Eventually(t, "the alerts are stored", func() bool { return s.alerts.queue.Stats().Waiting == 0 })
	if s.audits.queue.Stats().Waiting == 0 {
		t.Fatal("the audits found room too: the test shows nothing")
	}
	plan.Limits[proto.StreamAudit] = bus.Limits{MaxBytes: 64 << 20}
	if _, err := b.Conn(t, bus.RoleProvisioner).Provision(t.Context(), plan); err != nil {
		t.Fatal(err)
	}
	bustest.Eventually(t, "the audits are stored", s.drained)
	r.close(t)
	wantStored(t, b, numbered(0, 40))
}

// TestARefusalEndsRun publishes in a role that may not.
func TestARefusalEndsRun(t *testing.T) {
	b := bustest.Start(t)
	s := openSpool(t, t.TempDir(), func(o *Options) { o.Log = bustest.Log(t) })
	defer closeSpool(t, s)
	add(t, s, "1")
	err := s.Run(t.Context(), b.Conn(t, bus.RoleTail))
	if !bus.Permanent(err) {
		t.Errorf("error %v", err)
	}
	if s.waiting() != 2 {
		t.Errorf("%d records wait, want 2", s.waiting())
	}
}

// TestAnotherProxy runs two proxies of the same host with directories of their
// own. The second takes the place; the first sees it and stops.
func TestAnotherProxy(t *testing.T) {
	b := bustest.Start(t)
	first := run(t, openSpool(t, t.TempDir()), b.Conn(t, bus.RoleProxy))
	add(t, first.Spool, "1")
	bustest.Eventually(t, "the first publishes", first.drained)
	second := run(t, openSpool(t, t.TempDir()), b.Conn(t, bus.RoleProxy))
	add(t, second.Spool, "2")
	bustest.Eventually(t, "the second publishes", second.drained)
	add(t, first.Spool, "3")
	err := <-first.ended
	if !errors.Is(err, publish.ErrFenced) || !strings.Contains(err.Error(), "OPENCLAW_HOST") {
		t.Errorf("error %v", err)
	}
	closeSpool(t, first.Spool)
	second.close(t)
}

// TestStateIsReported tells for each stream whether it can be published to.
func TestStateIsReported(t *testing.T) {
	b := bustest.Start(t)
	type state struct {
		stream string
		well   bool
	}
	states := make(chan state, 1000)
	s := openSpool(t, t.TempDir(), func(o *Options) {
		o.OnState = func(stream string, err error) { states <- state{stream, err == nil} }
	})
	expect := func(want state) {
		t.Helper()
		for s := range states {
			if s == want {
				return
			}
		}
	}
	r := run(t, s, b.Conn(t, bus.RoleProxy))
	expect(state{proto.StreamAudit, true})
	b.Stop(t)
	add(t, s, "1")
	expect(state{proto.StreamAudit, false})
	expect(state{proto.AlertsStream(Source), false})
	b.Restart(t)
	bustest.Eventually(t, "all is stored", s.drained)
	expect(state{proto.StreamAudit, true})
	r.close(t)
}

// TestOversize drops what the server would not take, and nothing else.
func TestOversize(t *testing.T) {
	registry := prometheus.NewRegistry()
	s := openSpool(t, t.TempDir(), func(o *Options) { o.Metrics = registry })
	defer closeSpool(t, s)
	d := &drainer{spool: s, outbox: s.audits, limit: 10}
	var entries []entry
	for _, size := range []int{10, 11, 0} {
		add(t, s, fmt.Sprint(size))
		reader, _, err := s.audits.queue.ReadFrom("")
		if err != nil {
			t.Fatal(err)
		}
		one, err := reader.Next(t.Context(), 1, 1)
		if err := errors.Join(err, reader.Close()); err != nil {
			t.Fatal(err)
		}
		s.audits.queue.Done(one[0].End)
		one[0].Payload = make([]byte, size)
		entries = append(entries, one[0])
	}
	var got []string
	for _, m := range d.messages(entries) {
		got = append(got, m.Header.Get(proto.HeaderEventID))
	}
	if !slices.Equal(got, []string{"10", "0"}) {
		t.Errorf("messages %v", got)
	}
	if n := gather(t, registry)["proxy_audit_dropped_total oversize SECURITY_AUDIT"]; n != 1 {
		t.Errorf("%v are counted", n)
	}
}
