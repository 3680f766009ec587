// Package known remembers, within a bound, which texts have been judged: clients
// send their whole history with every request, and only what is new costs work.
//
//	text ─▶ Hash.Sum ─▶ Key ─▶ Cache.Get ─▶ known: what was found then
//	                              └────────▶ unknown: judge, Cache.Put
package known

import "sync"

// Cache maps keys to values and forgets the least recently used, roughly: it
// keeps two generations, and what has not been asked for while a generation
// filled goes with it. It is safe for concurrent use.
type Cache[V any] struct {
	mu       sync.Mutex
	capacity int // of a generation
	young    map[Key]V
	old      map[Key]V
}

// NewCache returns a cache that holds at least the latest capacity/2 entries
// and never more than capacity, which must be at least 2.
func NewCache[V any](capacity int) *Cache[V] {
	return &Cache[V]{capacity: capacity / 2, young: make(map[Key]V)}
}

// Get returns the value of k and whether there is one.
func (c *Cache[V]) Get(k Key) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.get(k)
}

// Put sets the value of k.
func (c *Cache[V]) Put(k Key, v V) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.put(k, v)
}

// Update sets the value of k to what next makes of the present one (zero if
// there is none), in one step, and returns it. next must not use the cache.
func (c *Cache[V]) Update(k Key, next func(v V, known bool) V) V {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := next(c.get(k))
	c.put(k, v)
	return v
}

// Len is how many entries there are.
func (c *Cache[V]) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.young) + len(c.old)
}

func (c *Cache[V]) get(k Key) (V, bool) {
	if v, ok := c.young[k]; ok {
		return v, true
	}
	v, ok := c.old[k]
	if ok {
		c.put(k, v)
	}
	return v, ok
}

func (c *Cache[V]) put(k Key, v V) {
	delete(c.old, k)
	if _, known := c.young[k]; !known && len(c.young) >= c.capacity {
		c.old, c.young = c.young, make(map[Key]V)
	}
	c.young[k] = v
}
