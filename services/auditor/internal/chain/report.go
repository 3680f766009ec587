package chain

import (
	"crypto/ed25519"
	"time"
)

// maxFaults is how many faults a report keeps. One forged line can make many.
const maxFaults = 100

// Report is what [Verify] has found.
type Report struct {
	Log       string // the log's id
	PublicKey ed25519.PublicKey
	// OwnKey says that the key was taken from the log's own directory. Whoever can
	// write there can have put another key and another log in place.
	OwnKey bool

	Segments int    // that hold records
	Records  uint64 // that are there
	Last     uint64 // number of the last record
	Bytes    int64  // read from the disk
	Removed  []Removal

	Checkpoints int       // that agree with the log, kept elsewhere or beside it
	Unchecked   int       // that speak of records which retention has removed
	Signed      uint64    // the last record that is covered by a signature
	SignedAt    time.Time // when it was signed
	// Unsigned is how many records are behind Signed. That nothing among them was
	// altered, nobody can tell; more than [MaxUnsigned] are a fault.
	Unsigned uint64
	// TornBytes are those of a last line that has no end: the auditor is writing
	// it, or a crash has left it, and the next Open cuts it off.
	TornBytes int64

	Faults     []*Fault // the first ones, at most 100
	FaultCount int      // all
}

// Removal is a segment that retention has removed, with a signed statement that it
// did.
type Removal struct {
	Segment     uint64
	First, Last uint64 // records
	Time        time.Time
	Reason      string // "age" or "size"
}

// OK reports whether the log is as it was written.
func (r *Report) OK() bool { return r.FaultCount == 0 }

func (r *Report) add(f *Fault) {
	r.FaultCount++
	if len(r.Faults) < maxFaults {
		r.Faults = append(r.Faults, f)
	}
}

func (r *Report) sign(seq uint64, at time.Time) {
	if seq >= r.Signed {
		r.Signed, r.SignedAt = seq, at
	}
}
