package bus_test

import (
	"errors"
	"testing"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/testing/bustest"
)

// Only a writer that knows a key's revision can set the key.
func TestBucketComparesAndSets(t *testing.T) {
	b := bustest.Start(t)
	ctx := deadlineContext(t)
	one, other := b.Conn(t, notifier), b.Conn(t, notifier)
	key := proto.KeyDelivery("telegram-1")

	if value, revision, err := one.Get(ctx, key); value != nil || revision != 0 || err != nil {
		t.Fatalf("at first: %q, %d, %v", value, revision, err)
	}
	first, err := one.Put(ctx, key, []byte("a plan"), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Put(ctx, key, []byte("another"), 0); !errors.Is(err, bus.ErrFenced) {
		t.Errorf("a second first value: %v", err)
	}
	value, revision, err := other.Get(ctx, key)
	if string(value) != "a plan" || revision != first || err != nil {
		t.Fatalf("read %q, %d, %v", value, revision, err)
	}
	removed, err := other.Put(ctx, key, nil, revision)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := one.Put(ctx, key, []byte("late"), first); !errors.Is(err, bus.ErrFenced) {
		t.Errorf("a value for a revision that is gone: %v", err)
	}
	if value, revision, err := one.Get(ctx, key); value != nil || revision != removed || err != nil {
		t.Errorf("removed: %q, %d, %v", value, revision, err)
	}
	if _, err := one.Put(ctx, key, []byte("again"), removed); err != nil {
		t.Error(err)
	}
}

// The bucket is one for every client's key-value API: `nats kv get` shows it.
func TestBucketIsOneForOthers(t *testing.T) {
	get := "$JS.API.DIRECT.GET." + proto.StreamState + ".>"
	b := bustest.Start(t, bustest.Grant(bus.RoleProvisioner, get))
	ctx := deadlineContext(t)
	if _, err := b.Conn(t, bus.RoleOperator).Put(ctx, proto.KeySilences, []byte("[]"), 0); err != nil {
		t.Fatal(err)
	}
	bucket, err := admin(t, b).KeyValue(ctx, proto.BucketState)
	if err != nil {
		t.Fatal(err)
	}
	entry, err := bucket.Get(ctx, proto.KeySilences)
	if err != nil {
		t.Fatal(err)
	}
	if string(entry.Value()) != "[]" {
		t.Errorf("got %q", entry.Value())
	}
}
