package inspect

import (
	"strconv"
	"strings"
)

// A step leads from a container to one of its values.
type step struct {
	from int32 // the container, an index into paths.containers
	to   int32 // the index in an array; or ^offset of the member's quoted name in the body
}

// root is where the step to the body itself would come from.
const root = -1

// paths remembers the way to each container with text in it, so that parsing
// need not write out paths of which hardly one is ever asked for.
type paths struct {
	body       []byte
	containers []step
}

// path renders the way to s.
func (t *paths) path(s step) string {
	var way [maxDepth + 1]int32
	n := 0
	for at := s; at.from != root && n < len(way); at = t.containers[at.from] {
		way[n] = at.to
		n++
	}
	var b strings.Builder
	for i := n - 1; i >= 0; i-- {
		switch to := way[i]; {
		case to >= 0:
			b.WriteByte('[')
			b.WriteString(strconv.Itoa(int(to)))
			b.WriteByte(']')
		default:
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.Write(t.name(int(^to)))
		}
	}
	return b.String()
}

// name returns the name whose opening quote stands at offset.
func (t *paths) name(offset int) []byte {
	start := offset + 1
	end := plain(t.body, start)
	if end > start && t.body[end] == '"' && isWord(t.body[start:end]) {
		return t.body[start:end]
	}
	return []byte("*")
}
