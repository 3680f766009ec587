package spool

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/openclaw-security/bus/proto"
)

func TestRefusesWhatTheBusWouldNotTake(t *testing.T) {
	s := openSpool(t, t.TempDir())
	defer closeSpool(t, s)
	audit := func(change func(*proto.Audit)) error {
		a := request("1")
		change(a)
		return s.AppendAudit(a)
	}
	event := func(change func(*proto.Event)) error {
		e := alert("1")
		change(e)
		return s.AppendAlert(e)
	}
	for name, err := range map[string]error{
		"another host":       audit(func(a *proto.Audit) { a.Host = "box2" }),
		"another source":     event(func(e *proto.Event) { e.Source = "suricata" }),
		"not a number":       audit(func(a *proto.Audit) { a.Duration = math.NaN() }),
		"no id":              audit(func(a *proto.Audit) { a.ID = "" }),
		"telemetry":          event(func(e *proto.Event) { e.SetSeverity(proto.SeverityInfo) }),
		"beyond the scale":   event(func(e *proto.Event) { e.Severity = 9 }),
		"several lines":      event(func(e *proto.Event) { e.Raw = []byte("{\n}") }),
		"beyond all bounds":  audit(func(a *proto.Audit) { a.Reason = strings.Repeat("x", MaxRecord) }),
		"a space in the id":  event(func(e *proto.Event) { e.ID = "1 2" }),
		"a time without end": audit(func(a *proto.Audit) { a.Time = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }),
	} {
		if !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if n := s.audits.queue.Stats().Waiting; n != 0 {
		t.Errorf("%d audits were taken", n)
	}
}

func TestTooSmall(t *testing.T) {
	if _, err := tryOpen(t.TempDir(), func(o *Options) { o.MaxBytes = MinBytes - 1 }); err == nil {
		t.Error("no error")
	}
}

func TestTwoProcesses(t *testing.T) {
	dir := t.TempDir()
	s := openSpool(t, dir)
	_, err := tryOpen(dir)
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("error %v", err)
	}
	closeSpool(t, s)
	closeSpool(t, openSpool(t, dir))
}

func TestIsItsOwnersOnly(t *testing.T) {
	dir := t.TempDir() + "/new"
	s := openSpool(t, dir)
	defer closeSpool(t, s)
	add(t, s, "1")
	for _, path := range append(segments(t, dir, "audit"), dir) {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %s", path, info.Mode())
		}
	}
}

// fill appends audits until there is no room, and returns how many there was room
// for.
func fill(t *testing.T, s *Spool) int {
	t.Helper()
	a := request("x")
	a.Reason = strings.Repeat("x", 64<<10)
	for n := 0; ; n++ {
		a.ID = fmt.Sprint(n)
		if err := s.AppendAudit(a); err != nil {
			if !errors.Is(err, ErrFull) {
				t.Fatal(err)
			}
			return n
		}
	}
}

// gaps returns the gap alerts that wait in the spool.
func gaps(t *testing.T, s *Spool) []string {
	t.Helper()
	r, _, err := s.alerts.queue.ReadFrom("")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var all []string
	for n := s.alerts.queue.Stats().Waiting; n > 0; {
		entries, err := r.Next(t.Context(), 100, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if strings.HasSuffix(e.Subject, "."+KindGap+".high") {
				all = append(all, string(e.Payload))
			}
		}
		n -= int64(len(entries))
	}
	return all
}

// TestGapIsReported fills the spool of audits, and looks at what the alerts say.
func TestGapIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s := openSpool(t, dir, func(o *Options) { o.MaxBytes = MinBytes })
		fill(t, s)
		if err := s.AppendAlert(alert("alert")); err != nil {
			t.Errorf("an alert has no room where audits have none: %v", err)
		}
		time.Sleep(2 * syncInterval)
		synctest.Wait()
		first := gaps(t, s)
		if len(first) != 1 || !strings.Contains(first[0], "lost 1 of its records: 1 for SECURITY_AUDIT (full)") {
			t.Fatalf("at first %v", first)
		}
		for range 7 {
			fill(t, s)
		}
		if err := s.AppendAlert(&proto.Event{}); !errors.Is(err, ErrInvalid) {
			t.Errorf("error %v", err)
		}
		time.Sleep(gapInterval / 2)
		synctest.Wait()
		if n := len(gaps(t, s)); n != 1 {
			t.Errorf("%d gaps within a minute", n)
		}
		time.Sleep(gapInterval)
		synctest.Wait()
		all := gaps(t, s)
		if len(all) != 2 ||
			!strings.Contains(all[1], "lost 8 of its records: 1 for ALERTS_proxy (invalid), 7 for SECURITY_AUDIT (full)") ||
			!strings.Contains(all[1], `"raw":{"from":"2000-01-01T00:00:00.2Z","to":"2000-01-01T00:00:00.2Z","lost":[{"stream":"ALERTS_proxy","reason":"invalid","records":1},{"stream":"SECURITY_AUDIT","reason":"full","records":7}]}`) {
			t.Errorf("after a minute %v", all)
		}
		fill(t, s)
		closeSpool(t, s)
		s = openSpool(t, dir)
		if all := gaps(t, s); len(all) != 3 {
			t.Errorf("after the end %v", all)
		}
		closeSpool(t, s)
	})
}

// TestGapWaitsForRoom loses alerts because its own spool is full.
func TestGapWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openSpool(t, t.TempDir(), func(o *Options) { o.MaxBytes = MinBytes })
		defer closeSpool(t, s)
		e := alert("x")
		for i, lost := 0, 0; lost < 3; i++ {
			// The last ones are shorter than a gap alert is: no room is left for that.
			e.ID, e.Title = fmt.Sprint(i), strings.Repeat("x", 1000)
			if lost > 0 {
				e.Title = ""
			}
			if err := s.AppendAlert(e); err != nil {
				lost++
			}
		}
		time.Sleep(3 * gapInterval)
		synctest.Wait()
		if all := gaps(t, s); len(all) != 0 {
			t.Fatalf("reported where there is no room: %v", all)
		}
		// Somebody reads half of it.
		r, _, err := s.alerts.queue.ReadFrom("")
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		entries, err := r.Next(t.Context(), 500, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		s.alerts.queue.Done(entries[len(entries)-1].End)
		time.Sleep(syncInterval)
		synctest.Wait()
		if all := gaps(t, s); len(all) != 1 || !strings.Contains(all[0], "3 for ALERTS_proxy (full)") {
			t.Errorf("then %v", all)
		}
	})
}

func TestDamageIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s := openSpool(t, dir)
		add(t, s, "1", "2")
		closeSpool(t, s)
		flipBit(t, segments(t, dir, "audit")[0], 20)
		s = openSpool(t, dir)
		defer closeSpool(t, s)
		time.Sleep(syncInterval)
		synctest.Wait()
		if all := gaps(t, s); len(all) != 1 || !strings.Contains(all[0], "1 for SECURITY_AUDIT (damaged)") {
			t.Errorf("%v", all)
		}
	})
}

// TestSyncFailureIsLoggedOnce takes the directory away, so that the names of new
// segments cannot be synced.
func TestSyncFailureIsLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, away := t.TempDir()+"/spool", t.TempDir()+"/away"
		log := new(logged)
		s := openSpool(t, dir, log.use)
		defer closeSpool(t, s)
		move := func(from, to string) {
			t.Helper()
			if err := os.Rename(from, to); err != nil {
				t.Fatal(err)
			}
			time.Sleep(5 * syncInterval)
			synctest.Wait()
		}
		add(t, s, "1")
		move(dir, away)
		if failures := s.audits.queue.Stats().SyncFailures; failures < 4 {
			t.Errorf("%d failures", failures)
		}
		move(away, dir)
		if strings.Count(log.String(), "cannot be made durable") != 1 || strings.Count(log.String(), "durable again") != 1 {
			t.Errorf("logged:\n%s", log)
		}
	})
}

// TestMetrics looks at the figures of a spool that nobody drains.
func TestMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	s := openSpool(t, t.TempDir(), func(o *Options) { o.MaxBytes, o.Metrics = MinBytes, registry })
	defer closeSpool(t, s)
	n := fill(t, s)
	got := gather(t, registry)
	for name, want := range map[string]float64{
		"proxy_audit_appended_total SECURITY_AUDIT":     float64(n),
		"proxy_audit_published_total SECURITY_AUDIT":    0,
		"proxy_audit_dropped_total full SECURITY_AUDIT": 1,
		"proxy_audit_dropped_total full ALERTS_proxy":   0,
		"proxy_audit_spool_records SECURITY_AUDIT":      float64(n),
		"proxy_audit_spool_bytes SECURITY_AUDIT":        float64(s.audits.queue.Stats().Bytes),
		"proxy_audit_sync_errors_total SECURITY_AUDIT":  0,
		"proxy_audit_damaged_lines_total ALERTS_proxy":  0,
		"proxy_audit_torn_lines_total ALERTS_proxy":     0,
	} {
		if value, there := got[name]; !there || value != want {
			t.Errorf("%s is %v (%v), want %v", name, value, there, want)
		}
	}
	if got["proxy_audit_oldest_waiting_seconds SECURITY_AUDIT"] <= 0 {
		t.Error("what waits has no age")
	}
}

// gather returns each metric by its name and the values of its labels.
func gather(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]float64)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := []string{f.GetName()}
			for _, label := range m.GetLabel() {
				name = append(name, label.GetValue())
			}
			all[strings.Join(name, " ")] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return all
}
