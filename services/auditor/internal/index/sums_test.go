package index

import (
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/audit"
)

func TestPercentilesAreAsGoodAsTheySay(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for name, draw := range map[string]func() float64{
		"spread":  func() float64 { return random.ExpFloat64() * 3 },
		"tiny":    func() float64 { return random.Float64() * 100e-6 },
		"wide":    func() float64 { return math.Exp(random.NormFloat64() * 5) },
		"one":     func() float64 { return 1.25 },
		"exactly": func() float64 { return float64(random.IntN(63)+1) / 1e6 },
	} {
		t.Run(name, func(t *testing.T) {
			for _, n := range []int{1, 2, 19, 20, 21, 1000} {
				var h histogram
				var exact []int64
				for range n {
					v, ok := micros(draw() + 1e-6)
					if !ok {
						t.Fatal("no duration")
					}
					exact = append(exact, v)
					h.observe(v)
				}
				slices.Sort(exact)
				for _, p := range []float64{.5, .95, .99, 1} {
					want := float64(exact[int(math.Ceil(p*float64(n)))-1]) / 1e6
					if got := h.percentile(p); math.Abs(got-want) > want/128 {
						t.Errorf("p%v of %d: got %v, want %v", p*100, n, got, want)
					}
				}
			}
		})
	}
}

func TestBuckets(t *testing.T) {
	for _, v := range []int64{-1, 0, 1, 63, 64, 127, 128, 129, 1 << 20, maxMicros - 1, maxMicros, math.MaxInt64} {
		b := bucketOf(v)
		if b >= maxBuckets {
			t.Errorf("%d is in bucket %d", v, b)
		}
		if bucketOf(int64(middle(b))) != b {
			t.Errorf("the middle of the bucket of %d is in another", v)
		}
	}
	for _, seconds := range []float64{0, -1, math.NaN(), math.Inf(-1)} {
		if _, ok := micros(seconds); ok {
			t.Errorf("%v seconds are a duration", seconds)
		}
	}
	if v, ok := micros(math.Inf(1)); !ok || v != maxMicros {
		t.Errorf("infinity is %d, %t", v, ok)
	}
	if got := histogram(nil).percentile(.5); got != 0 {
		t.Errorf("the median of nothing is %v", got)
	}
}

// What is summed up in portions, stored between them, is what is summed up at once.
func TestSumsAddUp(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	var whole, parts sums
	var portion sums
	for i := range 1000 {
		a := &proto.Audit{
			Time: time.UnixMicro(random.Int64N(1e15) - 5e14), Duration: random.ExpFloat64(), TimeToFirstChunk: random.ExpFloat64() / 10,
			Usage:     &proto.Usage{Input: random.Int64(), Output: -random.Int64(), CacheRead: random.Int64N(100)},
			ToolCalls: []proto.ToolCall{{Verdict: proto.DecisionBlocked}},
		}
		whole.add(sumsOf(a))
		portion.add(sumsOf(a))
		if i%7 == 0 || i == 999 {
			var stored sums
			if err := stored.decode(portion.appendTo(nil)); err != nil {
				t.Fatal(err)
			}
			parts.add(&stored)
			portion = sums{}
		}
	}
	if !reflect.DeepEqual(whole, parts) {
		t.Errorf("got %+v, want %+v", parts, whole)
	}
	if whole.requests != 1000 || whole.incomplete != 1000 || whole.callsBlocked != 1000 || whole.output != 0 || whole.input <= 0 {
		t.Errorf("got %+v", whole)
	}
}

func FuzzDecodeSums(f *testing.F) {
	s := sumsOf(&proto.Audit{Time: time.Unix(1, 0), Duration: 1, TimeToFirstChunk: .1})
	f.Add(s.appendTo(nil))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		var s, again sums
		if s.decode(b) != nil {
			return
		}
		if err := again.decode(s.appendTo(nil)); err != nil || !reflect.DeepEqual(s, again) {
			t.Errorf("%+v is read as %+v, %v", s, again, err)
		}
	})
}

func TestAddIsAllOrNothing(t *testing.T) {
	x, err := Open(t.TempDir()+"/audit.sqlite", Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	limit := func(pages string) {
		if _, err := x.w.conn.ExecContext(t.Context(), "PRAGMA max_page_count = "+pages); err != nil {
			t.Fatal(err)
		}
	}
	var records []Record
	for i := range 500 {
		records = append(records, Record{Seq: uint64(i + 1), Payload: []byte(`{"request_id":"` + time.Duration(i).String() + `","phase":"end","client":"c","tool_calls":[{"gen_ai.tool.name":"x"}]}`)})
	}
	limit("20") // what a full disk looks like
	if err := x.Add(t.Context(), records); err == nil {
		t.Fatal("500 records are in 20 pages")
	}
	if seq, _ := x.Position(); seq != 0 {
		t.Errorf("is at %d", seq)
	}
	limit("100000")
	if err := x.Add(t.Context(), records); err != nil {
		t.Fatal(err)
	}
	uses, err := x.Tools(t.Context(), audit.Filter{Client: "c"})
	if err != nil || len(uses) != 1 || uses[0].Calls != 500 {
		t.Errorf("got %+v, %v", uses, err)
	}
}

// The tokens of an answer that is read again are counted where it was made.
func TestStoredUsageIsNotSummed(t *testing.T) {
	a := proto.Audit{Usage: &proto.Usage{Input: 10, Output: 5, Complete: true}}
	if s := sumsOf(&a); s.input != 10 || s.output != 5 {
		t.Errorf("sums %+v", s)
	}
	a.Usage.Stored, a.Usage.Complete = true, false
	if s := sumsOf(&a); s.input != 0 || s.output != 0 || s.fresh != 0 || s.incomplete != 0 || s.requests != 1 {
		t.Errorf("sums of what is stored %+v", s)
	}
}
