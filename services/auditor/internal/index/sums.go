package index

import (
	"cmp"
	"encoding/binary"
	"errors"
	"math"
	"math/bits"
	"slices"

	"github.com/openclaw-security/bus/proto"
)

// sums are what requests add up to. They are additive: the sum of sums is the same
// for any division of the requests.
type sums struct {
	requests   int64
	incomplete int64 // tokens not counted to the end

	input, output, cacheRead, cacheCreation, reasoning int64
	fresh                                              int64 // input that the cache had no part in; min 0 for each request

	calls, callsAllowed, callsBlocked int64
	first, last                       int64 // microseconds since 1970

	duration, firstChunk histogram
}

// maxTokens bounds what one request can add, so that no sum overflows.
const maxTokens = 1 << 40

func sumsOf(a *proto.Audit) *sums {
	at := a.Time.UnixMicro()
	s := &sums{requests: 1, first: at, last: at}
	if u := a.Usage; u != nil && !u.Stored {
		s.input, s.output = tokens(u.Input), tokens(u.Output)
		s.cacheRead, s.cacheCreation = tokens(u.CacheRead), tokens(u.CacheCreation)
		s.reasoning = tokens(u.Reasoning)
		s.fresh = max(s.input-s.cacheRead-s.cacheCreation, 0)
		if !u.Complete {
			s.incomplete = 1
		}
	}
	if d, ok := micros(a.Duration); ok {
		s.duration.observe(d)
	}
	if d, ok := micros(a.TimeToFirstChunk); ok {
		s.firstChunk.observe(d)
	}
	for _, c := range a.ToolCalls {
		s.call(c.Verdict)
	}
	return s
}

func (s *sums) call(verdict proto.Decision) {
	s.calls++
	switch verdict {
	case proto.DecisionAllowed:
		s.callsAllowed++
	case proto.DecisionBlocked:
		s.callsBlocked++
	}
}

func tokens(n int64) int64 { return min(max(n, 0), maxTokens) }

// byTool are the sums of a request for each tool that it called: the whole
// request, but only that tool's calls.
func (s *sums) byTool(a *proto.Audit) map[string]*sums {
	if len(a.ToolCalls) == 0 {
		return nil
	}
	tools := make(map[string]*sums)
	for _, c := range a.ToolCalls {
		tool := toolOf(c)
		t := tools[tool]
		if t == nil {
			whole := *s
			t = &whole
			t.calls, t.callsAllowed, t.callsBlocked = 0, 0, 0
			// Adding to a histogram may change it in place.
			t.duration = append(histogram(nil), s.duration...)
			t.firstChunk = append(histogram(nil), s.firstChunk...)
			tools[tool] = t
		}
		t.call(c.Verdict)
	}
	return tools
}

// usage has the sums' cost: a request's contradictory counts have been settled
// one by one.
func (s *sums) usage() proto.Usage {
	return proto.Usage{
		Input: s.fresh + s.cacheRead + s.cacheCreation, CacheRead: s.cacheRead, CacheCreation: s.cacheCreation,
		Output: s.output, Reasoning: s.reasoning,
	}
}

func (s *sums) counters() [11]*int64 {
	return [...]*int64{
		&s.requests, &s.incomplete, &s.input, &s.output, &s.cacheRead, &s.cacheCreation, &s.reasoning, &s.fresh,
		&s.calls, &s.callsAllowed, &s.callsBlocked,
	}
}

func (s *sums) add(o *sums) {
	if s.requests == 0 {
		s.first, s.last = o.first, o.last
	}
	s.first, s.last = min(s.first, o.first), max(s.last, o.last)
	mine, others := s.counters(), o.counters()
	for i := range mine {
		*mine[i] += *others[i]
	}
	s.duration, s.firstChunk = s.duration.add(o.duration), s.firstChunk.add(o.firstChunk)
}

// appendTo appends the sums' stored form: variable-length integers, those of a
// histogram preceded by their number, with the distance from bucket to bucket.
func (s *sums) appendTo(b []byte) []byte {
	for _, n := range s.counters() {
		b = binary.AppendVarint(b, *n)
	}
	b = binary.AppendVarint(b, s.first)
	b = binary.AppendVarint(b, s.last-s.first)
	for _, h := range []histogram{s.duration, s.firstChunk} {
		b = binary.AppendUvarint(b, uint64(len(h)))
		var last uint16
		for _, k := range h {
			b = binary.AppendUvarint(b, uint64(k.index-last))
			b = binary.AppendUvarint(b, k.count)
			last = k.index
		}
	}
	return b
}

var errSums = errors.New("the stored sums cannot be read")

// decode reads what appendTo has written. The histograms of s are reused.
func (s *sums) decode(b []byte) error {
	ok := true
	signed := func() int64 {
		v, n := binary.Varint(b)
		if n <= 0 {
			ok = false
			return 0
		}
		b = b[n:]
		return v
	}
	unsigned := func() uint64 {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			ok = false
			return 0
		}
		b = b[n:]
		return v
	}
	for _, n := range s.counters() {
		*n = signed()
	}
	s.first = signed()
	s.last = s.first + signed()
	for _, h := range []*histogram{&s.duration, &s.firstChunk} {
		*h = (*h)[:0]
		length := unsigned()
		if length > maxBuckets {
			return errSums
		}
		var index uint64
		for i := range length {
			step := unsigned()
			if i > 0 && step == 0 || step >= maxBuckets {
				return errSums
			}
			if index += step; index >= maxBuckets || !ok {
				return errSums
			}
			*h = append(*h, bucket{uint16(index), unsigned()})
		}
	}
	if !ok || len(b) > 0 {
		return errSums
	}
	return nil
}

// A histogram counts durations in buckets whose width grows with the duration:
// single microseconds up to 64, then 64 buckets for each doubling. A percentile
// taken from one is off by at most 1/128 of its value for any values in any order, and adding two histograms loses nothing.
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

// micros turns a record's seconds into microseconds. It is false for what is not a
// duration: a record without one has 0.
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
