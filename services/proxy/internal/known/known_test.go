package known

import (
	"fmt"
	"sync"
	"testing"
)

func key(i int) (k Key) {
	copy(k[:], fmt.Sprintf("%016d", i))
	return k
}

func TestCacheIsBounded(t *testing.T) {
	c := NewCache[int](100)
	for i := range 1000 {
		c.Put(key(i), i)
		if n := c.Len(); n > 100 {
			t.Fatalf("%d entries after %d", n, i+1)
		}
		for j := max(0, i-49); j <= i; j++ {
			if v, ok := c.Get(key(j)); i%97 == 0 && (!ok || v != j) {
				t.Fatalf("after %d: %d is %d, %t", i, j, v, ok)
			}
		}
	}
}

func TestCacheKeepsWhatIsUsed(t *testing.T) {
	c := NewCache[string](10)
	c.Put(key(0), "kept")
	c.Put(key(1), "forgotten")
	for i := 2; i < 1000; i++ {
		c.Put(key(i), "")
		if v, ok := c.Get(key(0)); !ok || v != "kept" {
			t.Fatalf("gone after %d", i)
		}
	}
	if _, ok := c.Get(key(1)); ok {
		t.Error("what nobody asked for is still there")
	}
}

func TestUpdateIsOneStep(t *testing.T) {
	c := NewCache[int](4)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				c.Update(key(1), func(n int, _ bool) int { return n + 1 })
			}
		})
	}
	wg.Wait()
	if n, _ := c.Get(key(1)); n != 8000 {
		t.Errorf("counted %d, want 8000", n)
	}
}

func TestUpdateOfAnOldEntry(t *testing.T) {
	c := NewCache[int](4)
	c.Put(key(1), 1)
	c.Put(key(2), 2)
	c.Put(key(3), 3) // 1 and 2 are the old generation now
	if n := c.Update(key(1), func(n int, known bool) int {
		if !known {
			t.Error("not known")
		}
		return n + 10
	}); n != 11 {
		t.Errorf("is %d, want 11", n)
	}
}

func TestSum(t *testing.T) {
	h := NewHash()
	same := h.Sum(1, []byte("text"))
	tests := map[string]struct {
		key   Key
		equal bool
	}{
		"again":          {h.Sum(1, []byte("text")), true},
		"forked":         {h.Fork().Sum(1, []byte("text")), true},
		"another text":   {h.Sum(1, []byte("texu")), false},
		"longer by zero": {h.Sum(1, []byte("text\x00")), false},
		"another scope":  {h.Sum(2, []byte("text")), false},
		"nothing":        {h.Sum(1, nil), false},
		"another secret": {NewHash().Sum(1, []byte("text")), false},
	}
	for name, test := range tests {
		if (test.key == same) != test.equal {
			t.Errorf("%s: equal is %t", name, !test.equal)
		}
	}
}

func TestSumDoesNotAllocate(t *testing.T) {
	h, text := NewHash(), make([]byte, 1000)
	if n := testing.AllocsPerRun(100, func() { h.Sum(1, text) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkSum(b *testing.B) {
	for _, n := range []int{50, 2000, 200_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			h, text := NewHash(), make([]byte, n)
			b.SetBytes(int64(n))
			for b.Loop() {
				h.Sum(1, text)
			}
		})
	}
}
