package follow

import (
	"bytes"
	"compress/bzip2"
	"io"
	"math/bits"
	"slices"
	"testing"
)

// bzip2Of compresses data as bzip2 does, in one block with one code for all symbols:
// the standard library only decompresses. The format is that of
// https://github.com/dsnet/compress/blob/master/doc/bzip2-format.pdf.
func bzip2Of(data []byte) []byte {
	var w bitWriter
	w.out = []byte("BZh9")
	if len(data) > 0 {
		sum := bzip2Sum(data)
		w.block(data, sum)
		w.put(0x177245385090, 48)
		w.put(uint64(sum), 32)
	} else {
		w.put(0x177245385090, 48)
		w.put(0, 32)
	}
	w.put(0, (8-w.n%8)%8)
	return w.out
}

// block writes the one block: runs of bytes, then the last column of the sorted
// rotations, then the places of its bytes in a list whose last one comes first, then
// runs of zeros, then a code.
func (w *bitWriter) block(data []byte, sum uint32) {
	text := runs(data)
	column, origin := lastColumn(text)
	used := slices.Compact(slices.Sorted(slices.Values(column)))
	symbols := places(column, used)

	w.put(0x314159265359, 48)
	w.put(uint64(sum), 32)
	w.put(0, 1)
	w.put(uint64(origin), 24)
	var groups, within [16]uint64
	for _, b := range used {
		groups[b>>4], within[b>>4] = 1, within[b>>4]|1<<(15-b&15)
	}
	for _, g := range groups {
		w.put(g, 1)
	}
	for i, g := range groups {
		if g == 1 {
			w.put(within[i], 16)
		}
	}
	const tables = 2 // no fewer are allowed, and the first codes everything
	selectors := (len(symbols) + 49) / 50
	w.put(tables, 3)
	w.put(uint64(selectors), 15)
	w.put(0, selectors)
	// A complete code of two lengths, the shorter one for the first symbols.
	n := len(used) + 2
	length := bits.Len(uint(n - 1))
	short := 1<<length - n
	lengthOf := func(symbol int) int {
		if symbol < short {
			return length - 1
		}
		return length
	}
	for range tables {
		at := lengthOf(0)
		w.put(uint64(at), 5)
		for symbol := range n {
			for ; at < lengthOf(symbol); at++ {
				w.put(0b10, 2)
			}
			w.put(0, 1)
		}
	}
	for _, symbol := range symbols {
		if symbol < short {
			w.put(uint64(symbol), length-1)
		} else {
			w.put(uint64(symbol+short), length)
		}
	}
}

// runs makes four equal bytes and a count of each run of 4 to 255.
func runs(data []byte) (out []byte) {
	for i := 0; i < len(data); {
		n := 1
		for i+n < len(data) && n < 255 && data[i+n] == data[i] {
			n++
		}
		out = append(out, bytes.Repeat(data[i:i+1], min(n, 4))...)
		if n >= 4 {
			out = append(out, byte(n-4))
		}
		i += n
	}
	return out
}

// lastColumn sorts the rotations of text and returns the last byte of each, and which is
// the text itself.
func lastColumn(text []byte) (column []byte, origin int) {
	twice := append(bytes.Clone(text), text...)
	order := make([]int, len(text))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return bytes.Compare(twice[a:a+len(text)], twice[b:b+len(text)])
	})
	for i, start := range order {
		column = append(column, twice[start+len(text)-1])
		if start == 0 {
			origin = i
		}
	}
	return column, origin
}

// places returns the symbols: 0 and 1 are the digits of a number of zeros, of which the
// digit d at place p stands for (d+1)<<p, a place above 0 is one more, and the last
// symbol ends them.
func places(column, used []byte) (symbols []int) {
	list := bytes.Clone(used)
	zeros := 0
	end := func() {
		for ; zeros > 0; zeros = (zeros - 1) / 2 {
			symbols = append(symbols, (zeros-1)%2)
		}
	}
	for _, b := range column {
		at := bytes.IndexByte(list, b)
		if at == 0 {
			zeros++
			continue
		}
		end()
		symbols = append(symbols, at+1)
		copy(list[1:], list[:at])
		list[0] = b
	}
	end()
	return append(symbols, len(used)+1)
}

// bzip2Sum is the CRC-32 of polynomial 0x04c11db7, most significant bit first.
func bzip2Sum(data []byte) uint32 {
	sum := ^uint32(0)
	for _, b := range data {
		sum ^= uint32(b) << 24
		for range 8 {
			if carry := sum >> 31; carry == 1 {
				sum = sum<<1 ^ 0x04c11db7
			} else {
				sum <<= 1
			}
		}
	}
	return ^sum
}

type bitWriter struct {
	out []byte
	n   int // bits since the four bytes at the beginning
}

// put writes the lowest n bits of v.
func (w *bitWriter) put(v uint64, n int) {
	for i := n - 1; i >= 0; i-- {
		if w.n%8 == 0 {
			w.out = append(w.out, 0)
		}
		bit := byte(0)
		if i < 64 {
			bit = byte(v >> i & 1)
		}
		w.out[len(w.out)-1] |= bit << (7 - w.n%8)
		w.n++
	}
}

func TestBzip2Of(t *testing.T) {
	for _, text := range []string{"", "a", "a2\na3\n", "banana banana", "aaaa", "aaaaaaaaaaaaaaaab", string(bytes.Repeat([]byte("line of a log\n"), 500)), string(bytes.Repeat([]byte{0, 255, 7}, 333))} {
		got, err := io.ReadAll(bzip2.NewReader(bytes.NewReader(bzip2Of([]byte(text)))))
		if err != nil || string(got) != text {
			t.Errorf("%.20q of %d bytes comes back as %.20q, %v", text, len(text), got, err)
		}
	}
}
