package campaign

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/testing/bustest"
	"github.com/openclaw-security/bus/services/testing/testenv"
)

// scale is how large a campaign is.
type scale struct {
	perMinute int
	pause     time.Duration // between bursts of alerts
	ackWait   time.Duration
	drain     time.Duration // for what is left when the trouble is over
}

var (
	// brief fits into a test run: the limit is high, and the server does not wait
	// half a minute for a notifier that was killed.
	brief = scale{60, 800 * time.Millisecond, 2 * time.Second, 90 * time.Second}
	// long has the settings of production.
	long = scale{10, 5 * time.Second, 30 * time.Second, 6 * time.Minute}
)

// trouble makes every kind of trouble once, or any for as long as d, to all chats
// at the same time. It returns how often each happened.
func (r *rig) trouble(seed uint64, d time.Duration) map[string]int {
	r.t.Helper()
	end := time.Now().Add(d)
	ctx, cancel := context.WithTimeoutCause(r.t.Context(), d+overdue, errors.New("overdue"))
	defer cancel()
	acting, ctx := errgroup.WithContext(ctx)
	var troubles []*trouble
	for chat := range chats() {
		x := newTrouble(r, seed, chat)
		troubles = append(troubles, x)
		acting.Go(func() error {
			if d == 0 {
				return x.everything(ctx)
			}
			return x.anything(ctx, end)
		})
	}
	if err := acting.Wait(); err != nil {
		r.t.Error(err)
	}
	happened := make(map[string]int)
	for _, x := range troubles {
		for _, name := range x.happened {
			happened[name]++
		}
	}
	return happened
}

// overdue is how much longer the trouble may take than it is to.
const overdue = 6 * time.Minute

// Despite any fault, every alert is in a message that the chat has accepted, a message that may repeat another says so, and no chat gets more
// requests than it is to.
func TestCampaign(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	seed, duration, size := testenv.Seed(t), testenv.Duration(t, 0), brief
	if duration > 0 {
		size = long
	}
	r := newRig(t, size.perMinute, size.ackWait)
	var sources []*src
	enough := make(chan struct{})
	publishing, ctx := errgroup.WithContext(t.Context())
	for i, name := range []string{bustest.Suricata, bustest.Tracee} {
		s, err := newSource(ctx, r.server.Conn(t, bus.ShipperRole(name)), name, seed+uint64(i), 2*size.pause)
		r.must(err)
		sources = append(sources, s)
		publishing.Go(func() error { return s.run(ctx, enough) })
	}

	began := time.Now()
	happened := r.trouble(seed, duration)
	close(enough)
	r.must(publishing.Wait())
	var ids []string
	for _, s := range sources {
		ids = append(ids, s.ids...)
	}
	troubled := time.Since(began)
	var left string
	r.eventually("everything is delivered", size.drain, func() bool {
		now := r.unfinished(len(ids))
		if now != left && now != "" {
			r.log.Add("campaign: " + now)
		}
		left = now
		return now == ""
	})
	if err := r.notifier.Stop(); err != nil {
		t.Error(err)
	}
	e, err := r.collect(t.Context(), ids, size.perMinute)
	r.must(err)
	if faults := e.faults(); len(faults) > 0 {
		t.Errorf("%d faults:\n%s", len(faults), strings.Join(faults[:min(len(faults), 50)], "\n"))
	}
	var acts []string
	for _, name := range slices.Sorted(maps.Keys(happened)) {
		acts = append(acts, fmt.Sprintf("%s ×%d", name, happened[name]))
	}
	repeats := 0
	for _, m := range e.messages {
		if strings.HasPrefix(m.Text, label) {
			repeats++
		}
	}
	t.Logf("%s of trouble and %s to drain: %d alerts; notifier killed %d times, server %d times; %d requests, %d messages accepted, %d labelled, %d dead letters\n%s",
		troubled.Round(time.Second), (time.Since(began) - troubled).Round(time.Second), len(e.alerts), r.notifier.Kills(), r.server.Kills(),
		len(e.arrivals), len(e.messages), repeats, len(e.dead), strings.Join(acts, ", "))
}
