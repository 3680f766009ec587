package request

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/kv"
	"github.com/openclaw-security/bus/services/internal/retry"
)

// maxUnderWay is how many requests are served at the same time.
const maxUnderWay = 32

// Server serves the requests of one service.
type Server struct {
	conn     *bus.Conn
	service  string
	log      *slog.Logger
	handlers map[string]handler

	mu       sync.Mutex
	underWay map[string]bool // by key
}

// stored is a request of any kind.
type stored = Request[json.RawMessage]

type handler func(ctx context.Context, r stored) (result json.RawMessage, err error)

// NewServer returns a Server of a service, without handlers.
func NewServer(conn *bus.Conn, service string, log *slog.Logger) *Server {
	return &Server{conn: conn, service: service, log: log, handlers: make(map[string]handler), underWay: make(map[string]bool)}
}

// Handle registers what serves a kind of requests. do is called with the request's
// id and its body, and returns what was done; its error makes the request [Failed]. Its context ends at the request's deadline, and when Run is to end: what
// it returns then does not count, and the request is served again by the next process.
// Requests are served at the same time.
func Handle[B, R any](s *Server, kind Kind[B, R], do func(ctx context.Context, id string, body B) (R, error)) {
	s.handlers[string(kind)] = func(ctx context.Context, r stored) (json.RawMessage, error) {
		var body B
		if err := json.Unmarshal(r.Body, &body); err != nil {
			return nil, fmt.Errorf("reading the body of the request: %w", err)
		}
		result, err := do(ctx, r.ID, body)
		if err != nil {
			return nil, err
		}
		data, err := json.Marshal(result)
		if err != nil {
			return nil, fmt.Errorf("writing the result: %w", err)
		}
		return data, nil
	}
}

// Run serves requests until ctx ends, and then returns nil. It waits out an absent
// bus, and returns an error if the bus refuses for good.
func (s *Server) Run(ctx context.Context) error {
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(maxUnderWay)
	err := s.watch(inner, group)
	err = errors.Join(group.Wait(), err)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (s *Server) watch(ctx context.Context, group *errgroup.Group) error {
	for e, err := range kv.Watch[stored](ctx, s.conn, proto.KeyRequest(s.service, ">")) {
		if err != nil {
			return fmt.Errorf("waiting for requests: %w", err)
		}
		if e.Removed || e.Value.Outcome != nil || !s.begin(e.Key) {
			continue
		}
		group.Go(func() error {
			defer s.end(e.Key)
			s.serve(ctx, e)
			return nil
		})
	}
	return context.Cause(ctx)
}

func (s *Server) begin(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.underWay[key] {
		return false
	}
	s.underWay[key] = true
	return true
}

func (s *Server) end(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.underWay, key)
}

// serve serves one request and stores its outcome. One that cannot be stored is
// logged: what somebody writes into the bucket must not end the service.
func (s *Server) serve(ctx context.Context, e kv.Entry[stored]) {
	r := e.Value
	if r.ID != strings.TrimPrefix(e.Key, proto.KeyRequest(s.service, "")) && e.Err == nil {
		e.Err = errors.New("its id is not that of its key")
	}
	r.Outcome = s.outcome(ctx, r, e.Err)
	if ctx.Err() != nil {
		return // it is served again
	}
	s.log.Info("a request was served", "request", e.Key, "kind", fmt.Sprintf("%.100s", r.Kind), "state", r.Outcome.State, "result", string(r.Outcome.Result), "reason", r.Outcome.Reason)
	if len(r.Body)+len(r.Kind)+len(r.ID) > maxBody { // not one that New makes
		r = stored{ID: strings.TrimPrefix(e.Key, proto.KeyRequest(s.service, "")), Created: r.Created, Deadline: r.Deadline, Outcome: r.Outcome}
	}
	if err := s.store(ctx, e.Key, e.Revision, r); err != nil && ctx.Err() == nil {
		s.log.Error("the outcome of a request cannot be stored", "request", e.Key, "err", err)
	}
}

// outcome serves a request, which cannot be read if err is set.
func (s *Server) outcome(ctx context.Context, r stored, err error) *Outcome[json.RawMessage] {
	o := &Outcome[json.RawMessage]{State: Failed}
	handle := s.handlers[r.Kind]
	switch {
	case err != nil:
		o.Reason = fmt.Sprintf("the request cannot be read: %v", err)
	case !time.Now().Before(r.Deadline):
		o.State, o.Reason = Expired, "the deadline had passed before the request could be begun"
	case handle == nil:
		o.Reason = fmt.Sprintf("%s does not know requests of kind %.100q", s.service, r.Kind)
	default:
		ctx, cancel := context.WithDeadlineCause(ctx, r.Deadline, errors.New("the deadline passed while the request was under way; it may still be done"))
		defer cancel()
		result, err := handle(ctx, r)
		if err == nil {
			o.State, o.Result = Done, result
		} else {
			o.Reason = err.Error()
		}
	}
	o.Time = time.Now().UTC()
	return o
}

// store stores a request with its outcome, unless it has one or is gone.
func (s *Server) store(ctx context.Context, key string, revision uint64, r stored) error {
	data, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("writing the outcome: %w", err)
	}
	return retry.Do(ctx, backoff, func(ctx context.Context) error {
		_, err := s.conn.PutFor(ctx, key, data, revision, keepFor)
		switch {
		case err == nil:
			return nil
		case bus.Permanent(err):
			return retry.Permanent(err)
		case !errors.Is(err, bus.ErrFenced) && !errors.Is(err, bus.ErrMaybeStored):
			return err
		}
		have, now, loadErr := kv.Load[stored](ctx, s.conn, key)
		if loadErr == nil && (have.Outcome != nil || have.ID == "") {
			return nil
		}
		if loadErr == nil {
			revision = now
		}
		return errors.Join(err, loadErr)
	})
}
