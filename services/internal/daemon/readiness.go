package daemon

import (
	"cmp"
	"errors"
	"slices"
	"sync"
)

// errNotReported is why an expected condition does not hold before its first Set.
var errNotReported = errors.New("not reported yet")

// Readiness is the list of conditions that must hold for a process to do its
// work: connected, streams found, file open. It is safe for concurrent use.
type Readiness struct {
	board  *board
	prefix string
}

// board holds the conditions that all Readiness values of a process share.
type board struct {
	mu         sync.Mutex
	conditions map[string]error
}

// A Condition is one named requirement and why it is not met; Err is nil if it
// is.
type Condition struct {
	Name string
	Err  error
}

// NewReadiness returns a Readiness without conditions, which is not ready.
func NewReadiness() *Readiness {
	return &Readiness{board: &board{conditions: make(map[string]error)}}
}

// Expect names conditions that do not hold until Set says so. Call it before
// the work that fulfils them begins, so that nothing counts as ready because it
// has not been looked at. It leaves conditions that have been set alone.
func (r *Readiness) Expect(names ...string) {
	r.board.mu.Lock()
	defer r.board.mu.Unlock()
	for _, name := range names {
		if _, known := r.board.conditions[r.prefix+name]; !known {
			r.board.conditions[r.prefix+name] = errNotReported
		}
	}
}

// Set records that the condition holds, if err is nil, or why it does not. The
// text of err is served on /readyz.
func (r *Readiness) Set(name string, err error) {
	r.board.mu.Lock()
	defer r.board.mu.Unlock()
	r.board.conditions[r.prefix+name] = err
}

// Reason returns why a condition does not hold, nil if it does or nobody has named it.
func (r *Readiness) Reason(name string) error {
	r.board.mu.Lock()
	defer r.board.mu.Unlock()
	return r.board.conditions[r.prefix+name]
}

// Check returns every condition of the process, sorted by name, and whether
// there are any and all of them hold.
func (r *Readiness) Check() (conditions []Condition, ready bool) {
	r.board.mu.Lock()
	defer r.board.mu.Unlock()
	ready = len(r.board.conditions) > 0
	for name, err := range r.board.conditions {
		conditions = append(conditions, Condition{Name: name, Err: err})
		ready = ready && err == nil
	}
	slices.SortFunc(conditions, func(a, b Condition) int { return cmp.Compare(a.Name, b.Name) })
	return conditions, ready
}

// named returns a view of the same conditions that puts service/ before names.
func (r *Readiness) named(service string) *Readiness {
	return &Readiness{board: r.board, prefix: service + "/"}
}
