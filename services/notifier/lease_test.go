package notifier

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/daemon"
	"github.com/openclaw-security/bus/services/internal/kv"
	"github.com/openclaw-security/bus/services/testing/bustest"
)

// another runs one more notifier with the same settings until ctx ends, as a part
// of `secbus up` if standby is set.
func (r *chatRig) another(ctx context.Context, standby bool) (ended <-chan error, ready *daemon.Readiness) {
	r.t.Helper()
	var cfg Config
	environ := append([]string{"NATS_URL=" + r.bus.URL(), "NATS_NKEY_SEED=" + r.bus.Seed(r.t, Role)}, r.environ...)
	if err := config.Load(&cfg, environ); err != nil {
		r.t.Fatal(err)
	}
	cfg.Out, cfg.standby = r.out, standby
	ready = daemon.NewReadiness()
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, cfg, daemon.Runtime{Log: bustest.Log(r.t), Metrics: prometheus.NewRegistry(), Ready: ready})
	}()
	return done, ready
}

// A second notifier stops with an error, and the first goes on; each alert is
// delivered once, by a sink of each kind.
func TestASecondNotifierStops(t *testing.T) {
	t.Parallel()
	r := newChatRig(t, "NOTIFIER_STDOUT=always")
	r.start()
	r.alert(proto.SeverityHigh, "before")
	r.messages(1)
	second, ready := r.another(t.Context(), false)
	r.alert(proto.SeverityHigh, "meanwhile")
	err := <-second
	if !errors.Is(err, kv.ErrHeld) || !strings.Contains(err.Error(), "another notifier delivers to ") || !strings.Contains(err.Error(), "Stop that process") {
		t.Errorf("the second ended with %v", err)
	}
	if _, ok := ready.Check(); ok {
		t.Error("the second says that it is ready")
	}
	r.alert(proto.SeverityHigh, "after")
	for i, m := range r.messages(3) {
		if want := []string{"before", "meanwhile", "after"}[i]; !strings.Contains(m.Text, want) || strings.Contains(m.Text, "may repeat") {
			t.Errorf("message %d is %q", i, m.Text)
		}
	}
	r.settled(r.consumer(), 3)
	printed, err := os.ReadFile(r.out.Name())
	if err != nil || strings.Count(string(printed), "HIGH") != 3 {
		t.Errorf("printed %s, %v", printed, err)
	}
}

// As a part of `secbus up` the second waits, and takes over when the first has ended.
func TestASecondNotifierStandsBy(t *testing.T) {
	t.Parallel()
	r := newChatRig(t)
	stop := r.start()
	r.alert(proto.SeverityHigh, "before")
	r.messages(1)
	ctx, cancel := context.WithCancel(t.Context())
	second, ready := r.another(ctx, true)
	bustest.Eventually(t, "the second says why it is not ready", func() bool {
		conditions, _ := ready.Check()
		for _, c := range conditions {
			if c.Name == chatName && errors.Is(c.Err, kv.ErrHeld) {
				return true
			}
		}
		return false
	})
	stop()
	r.alert(proto.SeverityHigh, "after")
	r.messages(2)
	cancel()
	if err := <-second; err != nil {
		t.Errorf("the second ended with %v", err)
	}
}

// A notifier of `secbus up` that another process has taken the plan from, as one of an
// earlier version does, ends nothing beside it and tries again.
func TestAFencedNotifierStandsBy(t *testing.T) {
	t.Parallel()
	r := newChatRig(t)
	ctx, cancel := context.WithCancel(t.Context())
	first, _ := r.another(ctx, true)
	r.alert(proto.SeverityHigh, "before")
	r.messages(1)
	conn := r.bus.Conn(t, Role)
	bustest.Eventually(t, "another process takes the plan", func() bool {
		_, revision, err := conn.Get(t.Context(), proto.KeyDelivery(chatName))
		if err == nil {
			_, err = conn.Put(t.Context(), proto.KeyDelivery(chatName), []byte(`{"version":1,"instance":"other"}`), revision)
		}
		return err == nil
	})
	r.alert(proto.SeverityHigh, "after")
	bustest.Eventually(t, "the alert is delivered", func() bool {
		all := r.telegram.Messages()
		return strings.Contains(all[len(all)-1].Text, "after")
	})
	cancel()
	if err := <-first; err != nil {
		t.Errorf("it ended with %v", err)
	}
}

// What others leave in the bucket, or remove from it, keeps no notifier from
// starting and ends none.
func TestTheBucketEndsNoNotifier(t *testing.T) {
	t.Parallel()
	r := newChatRig(t)
	conn := r.bus.Conn(t, Role)
	lease, plan := proto.KeyDeliveryLease(chatName), proto.KeyDelivery(chatName)
	put := func(key, value string) {
		t.Helper()
		bustest.Eventually(t, "the key is written", func() bool {
			_, revision, err := conn.Get(t.Context(), key)
			if err == nil {
				_, err = conn.Put(t.Context(), key, []byte(value), revision)
			}
			return err == nil
		})
	}
	put(lease, "[broken")
	stop := r.start()
	r.alert(proto.SeverityHigh, "one")
	r.messages(1)
	put(lease, "")
	put(plan, "")
	r.alert(proto.SeverityHigh, "two")
	r.messages(2)
	put(proto.KeySilences, `{"broken`)
	if _, err := r.operator.Put(t.Context(), proto.KeyRequest(Role, "x"), []byte(`{"id":7}`), 0); err != nil {
		t.Error(err)
	}
	r.alert(proto.SeverityHigh, "three")
	r.messages(3)
	stop()

	// A predecessor that was killed, on a machine of which nothing else is known.
	value, err := json.Marshal(kv.Holder{Instance: "killed", PID: 1, Machine: "another", Renewed: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	put(lease, string(value))
	r.start()
	r.alert(proto.SeverityHigh, "four")
	r.messages(4)
}
