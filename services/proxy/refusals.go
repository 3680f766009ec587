package proxy

import (
	"fmt"
	"sync"
	"time"

	"github.com/openclaw-security/bus/proto"
)

// Whoever reaches the port can have requests refused without end. That must not
// fill the audit log, which refuses everything once it is full.
const (
	refusalBurst = 60          // recorded at once
	refusalEvery = time.Second // and then one in this time
)

// refusals decides which refused requests are recorded. The rest is counted, and
// named in the next record.
type refusals struct {
	now func() time.Time

	mu      sync.Mutex
	allowed float64
	last    time.Time
	omitted int
}

func newRefusals(now func() time.Time) *refusals {
	return &refusals{now: now, allowed: refusalBurst, last: now()}
}

// admit reports whether a is to be recorded, and adds to it how many before it
// were not.
func (f *refusals) admit(a *proto.Audit) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	f.allowed = min(f.allowed+float64(now.Sub(f.last))/float64(refusalEvery), refusalBurst)
	f.last = now
	if f.allowed < 1 {
		f.omitted++
		return false
	}
	f.allowed--
	if f.omitted > 0 {
		a.Reason = fmt.Sprintf("%s (%d refused requests before this one were counted only)", a.Reason, f.omitted)
		f.omitted = 0
	}
	return true
}
