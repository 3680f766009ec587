package follow

import "time"

// growth remembers when a file had which size, coarsely, to tell how old its
// unread bytes are.
type growth struct {
	marks [16]mark
	n     int
}

type mark struct {
	size int64
	at   time.Time
}

// note adds that the file had grown to size at a moment. When there is no space
// left, every second mark is given up.
func (h *growth) note(size int64, at time.Time) {
	if h.n == len(h.marks) {
		h.n = 0
		for i := 0; i < len(h.marks); i += 2 {
			h.marks[h.n] = h.marks[i]
			h.n++
		}
	}
	h.marks[h.n] = mark{size, at}
	h.n++
}

// since returns a moment by which the byte at offset had been written, and
// drops what is older. It is the zero time if no such byte is known.
func (h *growth) since(offset int64) time.Time {
	i := 0
	for i < h.n && h.marks[i].size <= offset {
		i++
	}
	h.n = copy(h.marks[:], h.marks[i:h.n])
	if h.n == 0 {
		return time.Time{}
	}
	return h.marks[0].at
}
