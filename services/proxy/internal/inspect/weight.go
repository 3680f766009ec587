package inspect

import "bytes"

// What inspecting a body takes for each thing in it, in bytes: the storage of
// Parse, 2¼ times as much while it grows, and what those who judge the segments
// keep for each until they have. TestWeight measures the first.
const (
	stringWeight    = 320
	containerWeight = 24
)

// Weight is an upper bound of the memory, in bytes, that it takes to inspect a
// body, beside the body itself. It costs a small part of the inspection.
func Weight(body []byte) int64 {
	strings := min(bytes.Count(body, []byte{'"'})/2, maxSegments)
	containers := min(bytes.Count(body, []byte{'{'})+bytes.Count(body, []byte{'['}), maxSegments)
	weight := int64(strings)*stringWeight + int64(containers)*containerWeight + 64<<10
	if bytes.IndexByte(body, '\\') >= 0 {
		weight += int64(len(body)) // decoded strings
	}
	return weight + int64(len(body))*5/4 // texts that come in base64, and first guesses at how much there is
}

// MaxWeight is the Weight that no body of size bytes exceeds.
func MaxWeight(size int64) int64 {
	return size*9/4 + maxSegments*(stringWeight+containerWeight) + 64<<10
}
