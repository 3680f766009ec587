package kv_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/kv"
	"github.com/openclaw-security/bus/services/testing/bustest"
)

const key = proto.KeySilences

// Edits that are made at the same time all count, and an edit that refuses changes
// nothing.
func TestChange(t *testing.T) {
	b := bustest.Start(t)
	conn := b.Conn(t, bus.RoleOperator)
	if value, revision, err := kv.Load[[]int](t.Context(), conn, key); value != nil || revision != 0 || err != nil {
		t.Errorf("at first %v, %d, %v", value, revision, err)
	}
	var editors sync.WaitGroup
	for i := range 8 {
		editors.Go(func() {
			if err := kv.Change(t.Context(), conn, key, func(all []int) ([]int, error) { return append(all, i), nil }); err != nil {
				t.Error(err)
			}
		})
	}
	editors.Wait()
	refused := errors.New("no")
	if err := kv.Change(t.Context(), conn, key, func([]int) ([]int, error) { return nil, refused }); !errors.Is(err, refused) {
		t.Errorf("got %v", err)
	}
	value, _, err := kv.Load[[]int](t.Context(), conn, key)
	slices.Sort(value)
	if fmt.Sprint(value) != "[0 1 2 3 4 5 6 7]" || err != nil {
		t.Errorf("got %v, %v", value, err)
	}
	if _, _, err := kv.Load[string](t.Context(), conn, key); err == nil {
		t.Error("a list was read as a text")
	}
}

// A value that cannot be read does not end a watch.
func TestWatch(t *testing.T) {
	b := bustest.Start(t)
	conn := b.Conn(t, bus.RoleOperator)
	values := []string{`[1]`, `{broken`, ``, `[2]`}
	put := func(i int, revision uint64) {
		t.Helper()
		if _, err := conn.Put(t.Context(), key, []byte(values[i]), revision); err != nil {
			t.Fatal(err)
		}
	}
	put(0, 0)
	var got []string
	for e, err := range kv.Watch[[]int](t.Context(), b.Conn(t, bus.RoleNotifier), key) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprint(e.Value, e.Removed, e.Err != nil))
		if len(got) == len(values) {
			break
		}
		put(len(got), e.Revision)
	}
	if want := []string{"[1] false false", "[] false true", "[] true false", "[2] false false"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
