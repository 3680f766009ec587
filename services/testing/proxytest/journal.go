package proxytest

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/proxy"
)

// HeaderRequestID is the header of an answer that names the request's records.
const HeaderRequestID = "X-Secbus-Request-Id"

// Journal is what proxies have published since it was opened, by request. It is
// safe for concurrent use.
type Journal struct {
	mu      sync.Mutex
	changed chan struct{} // closed at the next change
	entries map[string]*Entry
	err     error // why nothing more will come
}

// Entry is what is known of one request.
type Entry struct {
	Started bool         // the start record is there
	End     *proto.Audit // the final record; nil until it is there
	Alerts  []proto.Event
}

// Open follows what the proxies on a bus publish, until ctx ends. The role of conn
// must be one that may read everything, such as [bus.RoleTail].
func Open(ctx context.Context, conn *bus.Conn) *Journal {
	j := &Journal{changed: make(chan struct{}), entries: make(map[string]*Entry)}
	streams := bus.Only(proto.StreamAudit, proto.AlertsStream(proxy.Role))
	go func() {
		for s, err := range conn.Follow(ctx, streams, bus.Start{}) {
			if err == nil {
				err = j.add(s)
			}
			if err != nil {
				j.change(func() { j.err = err })
				return
			}
		}
	}()
	return j
}

func (j *Journal) add(s *bus.Stored) error {
	if s.Stream == proto.StreamAudit {
		var a proto.Audit
		if err := json.Unmarshal(s.Data, &a); err != nil {
			return fmt.Errorf("reading a record: %w", err)
		}
		j.change(func() {
			e := j.entry(a.RequestID)
			if a.Phase == proto.PhaseStart {
				e.Started = true
			} else {
				e.End = &a
			}
		})
		return nil
	}
	var event proto.Event
	if err := json.Unmarshal(s.Data, &event); err != nil {
		return fmt.Errorf("reading an alert: %w", err)
	}
	var about struct {
		RequestID string `json:"request_id"`
	}
	if err := json.Unmarshal(event.Raw, &about); err != nil || about.RequestID == "" {
		return nil // about the proxy itself
	}
	j.change(func() {
		e := j.entry(about.RequestID)
		e.Alerts = append(e.Alerts, event)
	})
	return nil
}

func (j *Journal) entry(id string) *Entry {
	e := j.entries[id]
	if e == nil {
		e = &Entry{}
		j.entries[id] = e
	}
	return e
}

func (j *Journal) change(do func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	do()
	close(j.changed)
	j.changed = make(chan struct{})
}

// Get returns what there is of a request so far.
func (j *Journal) Get(id string) Entry {
	e, _, _ := j.look(id)
	return e
}

func (j *Journal) look(id string) (Entry, <-chan struct{}, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	var e Entry
	if known := j.entries[id]; known != nil {
		e = *known
	}
	return e, j.changed, j.err
}

// Await waits until enough holds of what there is of a request, and returns it.
func (j *Journal) Await(ctx context.Context, id string, enough func(Entry) bool) (Entry, error) {
	for {
		e, changed, err := j.look(id)
		if enough(e) {
			return e, nil
		}
		if err != nil {
			return e, fmt.Errorf("following the records: %w", err)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return e, fmt.Errorf("waiting for the records of request %q: %w", id, context.Cause(ctx))
		}
	}
}

// Ended is enough where the final record is wanted.
func Ended(e Entry) bool { return e.End != nil }
