package request_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/request"
	"github.com/openclaw-security/bus/services/testing/bustest"
)

const service = bus.RoleNotifier

type body struct {
	Text string `json:"text"`
}

// result is what a request of these tests has done.
type result struct {
	Did string `json:"did"`
}

const (
	echo  request.Kind[body, result] = "echo"
	fails request.Kind[body, result] = "fails"
	waits request.Kind[body, result] = "waits"
)

// rig is a bus with an operator, and a service that counts what it does.
type rig struct {
	t        *testing.T
	bus      *bustest.Bus
	operator *bus.Conn

	mu    sync.Mutex
	begun []string // ids, each time that one is begun
}

func newRig(t *testing.T) *rig {
	b := bustest.Start(t)
	return &rig{t: t, bus: b, operator: b.Conn(t, bus.RoleOperator)}
}

func (r *rig) begin(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.begun = append(r.begun, id)
}

func (r *rig) times(id string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, one := range r.begun {
		if one == id {
			n++
		}
	}
	return n
}

// serve runs the service until the function that it returns is called.
func (r *rig) serve() (stop func()) {
	s := request.NewServer(r.bus.Conn(r.t, service), service, bustest.Log(r.t))
	request.Handle(s, echo, func(_ context.Context, id string, b body) (result, error) {
		r.begin(id)
		return result{b.Text}, nil
	})
	request.Handle(s, fails, func(_ context.Context, id string, b body) (result, error) {
		r.begin(id)
		return result{"half of it"}, errors.New(b.Text)
	})
	request.Handle(s, waits, func(ctx context.Context, id string, _ body) (result, error) {
		r.begin(id)
		<-ctx.Done()
		return result{}, context.Cause(ctx)
	})
	ctx, cancel := context.WithCancel(r.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			r.t.Errorf("the server ended with %v", err)
		}
	})
	r.t.Cleanup(stop)
	return stop
}

func (r *rig) make(kind request.Kind[body, result], text string, within time.Duration) request.Request[result] {
	r.t.Helper()
	q, err := request.New(kind, body{text}, within)
	if err != nil {
		r.t.Fatal(err)
	}
	return q
}

func (r *rig) do(q request.Request[result]) request.Outcome[result] {
	r.t.Helper()
	o, err := request.Do(r.t.Context(), r.operator, service, q)
	if err != nil {
		r.t.Fatal(err)
	}
	return o
}

// begins makes a request and waits until it was begun, but not for its outcome.
func (r *rig) begins(q request.Request[result]) {
	r.t.Helper()
	ctx, cancel := context.WithCancel(r.t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if _, err := request.Do(ctx, r.operator, service, q); err == nil {
			r.t.Error("there is an outcome")
		}
	}()
	bustest.Eventually(r.t, "the request is begun", func() bool { return r.times(q.ID) == 1 })
	cancel()
	<-ended
}

func TestOutcomes(t *testing.T) {
	r := newRig(t)
	early := make(chan request.Outcome[result])
	before := r.make(echo, "before", time.Hour)
	go func() {
		o, err := request.Do(t.Context(), r.operator, service, before)
		if err != nil {
			t.Error(err)
		}
		early <- o
	}()
	bustest.Eventually(t, "the request is stored", func() bool {
		value, _, err := r.operator.Get(t.Context(), proto.KeyRequest(service, before.ID))
		return err == nil && value != nil
	})
	r.serve()
	if o := <-early; o.State != request.Done || o.Result.Did != "before" || o.Time.IsZero() {
		t.Errorf("one that was made before the service started: %+v", o)
	}
	tests := []struct {
		name   string
		q      request.Request[result]
		state  request.State
		did    string
		reason string
	}{
		{"done", r.make(echo, "it", time.Hour), request.Done, "it", ""},
		{"failed", r.make(fails, "it cannot", time.Hour), request.Failed, "", "it cannot"},
		{"unknown", r.make("dance", "", time.Hour), request.Failed, "", `does not know requests of kind "dance"`},
		{"too late to begin", r.make(echo, "", -time.Second), request.Expired, "", "deadline"},
		{"too late to end", r.make(waits, "", 3*time.Second), request.Failed, "", "it may still be done"},
		{"of another form", request.Request[result]{ID: "form", Kind: string(echo), Deadline: time.Now().Add(time.Hour), Body: json.RawMessage(`"text"`)}, request.Failed, "", "reading the body"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := r.do(tt.q)
			if o.State != tt.state || o.Result.Did != tt.did || !strings.Contains(o.Reason, tt.reason) || (o.Reason == "") != (tt.reason == "") {
				t.Errorf("got %+v", o)
			}
			if begun := r.times(tt.q.ID); begun > 1 || tt.state == request.Expired && begun > 0 {
				t.Errorf("it was begun %d times", begun)
			}
		})
	}
}

// The same request twice is served once, by a service that restarts as well.
func TestARequestIsServedOnce(t *testing.T) {
	r := newRig(t)
	stop := r.serve()
	q := r.make(echo, "it", time.Hour)
	var clients sync.WaitGroup
	for range 5 {
		clients.Go(func() {
			if o, err := request.Do(t.Context(), r.operator, service, q); err != nil || o.Result.Did != "it" {
				t.Errorf("got %+v, %v", o, err)
			}
		})
	}
	clients.Wait()
	stop()
	r.serve()
	r.do(r.make(echo, "another", time.Hour)) // behind what the service reads when it starts
	if o := r.do(q); o.Result.Did != "it" || r.times(q.ID) != 1 {
		t.Errorf("begun %d times: %+v", r.times(q.ID), o)
	}
}

// What was under way when the service ended is served again by the next one.
func TestWhatWasUnderWayIsServedAgain(t *testing.T) {
	r := newRig(t)
	stop := r.serve()
	q := r.make(waits, "", time.Hour)
	r.begins(q)
	stop()
	r.serve()
	bustest.Eventually(t, "the request is begun again", func() bool { return r.times(q.ID) == 2 })
}

// Requests outlast a restart of the bus, on both sides.
func TestRequestsOutlastTheBus(t *testing.T) {
	r := newRig(t)
	r.serve()
	r.begins(r.make(waits, "", time.Hour))
	r.bus.Restart(t)
	for i := range 3 {
		q := r.make(echo, fmt.Sprint(i), time.Hour)
		bustest.Eventually(t, "the request is served", func() bool {
			o, err := request.Do(t.Context(), r.operator, service, q)
			if err != nil && !errors.Is(err, bus.ErrNotConnected) {
				t.Fatal(err)
			}
			return o.State == request.Done
		})
		if r.times(q.ID) != 1 {
			t.Errorf("begun %d times", r.times(q.ID))
		}
	}
}

// What is no request under a key of the service has an outcome too, and stops nothing.
func TestWhatIsNoRequest(t *testing.T) {
	r := newRig(t)
	large := strings.Repeat("x", 64<<10-400) // with its outcome, more than the server takes
	for id, value := range map[string]string{
		"large":  `{"id":"large","kind":"echo","deadline":"2999-01-01T00:00:00Z","body":{"text":"` + large + `"}}`,
		"kind":   `{"id":"kind","kind":"` + large + `","deadline":"2999-01-01T00:00:00Z"}`,
		"broken": "{broken", "list": `[{"id":"0123","kind":"test"}]`, "other": `{"id":"another","kind":"echo","deadline":"2999-01-01T00:00:00Z","body":{}}`,
	} {
		if _, err := r.operator.Put(t.Context(), proto.KeyRequest(service, id), []byte(value), 0); err != nil {
			t.Fatal(err)
		}
	}
	r.serve()
	bustest.Eventually(t, "one whose outcome would be too large has one", func() bool {
		value, _, err := r.operator.Get(t.Context(), proto.KeyRequest(service, "large"))
		var q request.Request[result]
		return err == nil && json.Unmarshal(value, &q) == nil && q.Outcome != nil && q.Outcome.State == request.Done
	})
	for _, id := range []string{"broken", "list", "other", "kind"} {
		bustest.Eventually(t, id+" has an outcome", func() bool {
			value, _, err := r.operator.Get(t.Context(), proto.KeyRequest(service, id))
			var q request.Request[result]
			return err == nil && json.Unmarshal(value, &q) == nil && q.Outcome != nil && q.Outcome.State == request.Failed
		})
	}
	if o := r.do(r.make(echo, "it", time.Hour)); o.State != request.Done {
		t.Errorf("got %+v", o)
	}
}

// An outcome is kept for a day, by the server of the bus.
func TestOutcomesAreRemoved(t *testing.T) {
	r := newRig(t)
	r.serve()
	q := r.make(echo, "it", time.Hour)
	r.do(q)
	last, err := r.operator.Last(t.Context(), proto.StreamRequests, proto.StateSubject(proto.KeyRequest(service, q.ID)))
	if err != nil || last.Header.Get("Nats-TTL") != "24h0m0s" {
		t.Errorf("the outcome has the headers %v, %v", last.Header, err)
	}
}

func TestBodiesAreBounded(t *testing.T) {
	if _, err := request.New(echo, body{strings.Repeat("x", 17<<10)}, time.Hour); err == nil {
		t.Error("a request of 17 KiB")
	}
}

func TestDoWithoutTheRight(t *testing.T) {
	r := newRig(t)
	_, err := request.Do(t.Context(), r.operator, "responder", r.make(echo, "it", time.Hour))
	var permission *bus.PermissionError
	if !errors.As(err, &permission) {
		t.Errorf("got %v", err)
	}
}
