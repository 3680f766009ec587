package index

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
)

// A histogram counts durations in buckets whose width grows with the duration:
// single microseconds up to 64, then 64 buckets for each doubling. A percentile
// taken from one is off by at most 1/128 of its value, whatever was added in
// whatever order, and adding two histograms loses nothing.
type histogram []bucket // ascending by index

type bucket struct {
	index uint16
	count uint64
}

// Durations are in microseconds; longer ones count as the longest, 34 years.
const (
	subBits    = 6
	maxMicros  = 1 << 50
	maxBuckets = (50 - subBits + 1) << subBits
)

func bucketOf(micros int64) uint16 {
	v := uint64(min(max(micros, 0), maxMicros-1))
	if v < 1<<subBits {
		return uint16(v)
	}
	shift := bits.Len64(v) - subBits - 1
	return uint16(shift<<subBits) + uint16(v>>shift)
}

// middle is the duration in the middle of a bucket, in microseconds.
func middle(index uint16) float64 {
	if index < 2<<subBits {
		return float64(index)
	}
	shift := index>>subBits - 1
	lowest := uint64(index&(1<<subBits-1)|1<<subBits) << shift
	return float64(lowest) + float64(uint64(1)<<shift-1)/2
}

// micros turns a record's seconds into microseconds. It is false for what is no
// duration: a record that has none says 0.
func micros(seconds float64) (int64, bool) {
	if !(seconds > 0) {
		return 0, false
	}
	return int64(min(math.Round(seconds*1e6), maxMicros)), true
}

func (h *histogram) observe(micros int64) {
	*h = h.add(histogram{{bucketOf(micros), 1}})
}

// add returns the sum of two histograms; h is used up. It is quick where o has
// few buckets beside h, or h has those of o already.
func (h histogram) add(o histogram) histogram {
	from := 0
	for _, b := range o {
		i, found := slices.BinarySearchFunc(h[from:], b.index, func(b bucket, index uint16) int { return cmp.Compare(b.index, index) })
		from += i
		if found {
			h[from].count += b.count
		} else {
			h = slices.Insert(h, from, b)
		}
		from++
	}
	return h
}

// percentile is the smallest duration that p of those added (0 to 1) do not
// exceed, in seconds; 0 if there are none.
func (h histogram) percentile(p float64) float64 {
	var total uint64
	for _, b := range h {
		total += b.count
	}
	rank := uint64(math.Ceil(p * float64(total)))
	for _, b := range h {
		if b.count >= rank && b.count > 0 {
			return middle(b.index) / 1e6
		}
		rank -= b.count
	}
	return 0
}
