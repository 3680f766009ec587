package bus_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/testing/bustest"
)

// entries collects what a watch yields, as key=value.
func entries(t *testing.T, c *bus.Conn, pattern string) <-chan string {
	got := make(chan string)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	t.Cleanup(func() { cancel(); <-ended })
	go func() {
		defer close(ended)
		for e, err := range c.Watch(ctx, pattern) {
			if err != nil {
				if ctx.Err() == nil {
					t.Errorf("the watch ended: %v", err)
				}
				return
			}
			text := strings.TrimPrefix(e.Key, "requests.notifier.") + "=" + string(e.Value)
			if e.Value == nil {
				text += "(removed)"
			}
			select {
			case got <- text:
			case <-ctx.Done():
				return
			}
		}
	}()
	return got
}

func expect(t *testing.T, got <-chan string, want ...string) {
	t.Helper()
	ctx := deadlineContext(t)
	for _, w := range want {
		select {
		case g := <-got:
			if g != w {
				t.Fatalf("got %q, want %q", g, w)
			}
		case <-ctx.Done():
			t.Fatalf("%q has not come", w)
		}
	}
}

// A watch yields the last value of each key, and what changes, over restarts of the
// server.
func TestWatch(t *testing.T) {
	b := bustest.Start(t)
	operator := b.Conn(t, bus.RoleOperator)
	revisions := make(map[string]uint64)
	put := func(id, value string) {
		t.Helper()
		bustest.Eventually(t, "the value is stored", func() bool {
			revision, err := operator.Put(deadlineContext(t), proto.KeyRequest("notifier", id), []byte(value), revisions[id])
			if errors.Is(err, bus.ErrNotConnected) {
				return false
			}
			if err != nil {
				t.Fatal(err)
			}
			revisions[id] = revision
			return true
		})
	}
	put("a", "1")
	put("a", "2")
	put("b", "1")
	watcher := b.Conn(t, bus.RoleNotifier)
	got := entries(t, watcher, proto.KeyRequest("notifier", ">"))
	expect(t, got, "a=2", "b=1")
	put("c", "1")
	put("a", "")
	expect(t, got, "c=1", "a=(removed)")
	one := entries(t, watcher, proto.KeyRequest("notifier", "b"))
	expect(t, one, "b=1")
	for i := range 3 {
		b.Restart(t)
		put("b", fmt.Sprint("after restart ", i))
		expect(t, got, fmt.Sprint("b=after restart ", i))
		expect(t, one, fmt.Sprint("b=after restart ", i))
	}
}

// A value that the server removes by itself is gone.
func TestPutFor(t *testing.T) {
	b := bustest.Start(t)
	operator := b.Conn(t, bus.RoleOperator)
	key := proto.KeyRequest("notifier", "a")
	if _, err := operator.PutFor(deadlineContext(t), key, []byte("short-lived"), 0, 1); err != nil {
		t.Fatal(err)
	}
	if value, _, err := operator.Get(deadlineContext(t), key); string(value) != "short-lived" || err != nil {
		t.Errorf("at first: %q, %v", value, err)
	}
	bustest.Eventually(t, "the server removes the value", func() bool {
		_, revision, err := operator.Get(deadlineContext(t), key)
		return revision == 0 && err == nil
	})
	if _, err := operator.Put(deadlineContext(t), key, []byte("again"), 0); err != nil {
		t.Error(err)
	}
}

func TestWatchEndsForGood(t *testing.T) {
	b := bustest.Start(t)
	for _, err := range b.Conn(t, bus.RoleTail).Watch(deadlineContext(t), proto.KeySilences) {
		var permission *bus.PermissionError
		if !errors.As(err, &permission) {
			t.Errorf("got %v", err)
		}
	}
}
