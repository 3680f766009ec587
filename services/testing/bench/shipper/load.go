package main

import (
	"bufio"
	"bytes"
	"os"
	"sync"

	"github.com/openclaw-security/bus/suricata"
)

// labMix is how often each event type occurs among 255 lines that Suricata
// wrote for the laboratory capture. The recording that is shipped has fewer of
// the frequent ones.
var labMix = map[string]int{
	"netflow": 135, "flow": 69, "dns": 14, "alert": 14, "http": 9, "fileinfo": 9,
	"tls": 2, "websocket": 1, "ssh": 1, "stats": 1,
}

// mix returns the lines of the recording in the laboratory's proportions, in an
// order that spreads each type.
var mix = sync.OnceValue(func() [][]byte {
	byType := make(map[string][][]byte)
	for line := range bytes.Lines(suricata.Recording()) {
		for kind := range labMix {
			if bytes.Contains(line, []byte(`"event_type":"`+kind+`"`)) {
				byType[kind] = append(byType[kind], line)
			}
		}
	}
	const total = 255
	var lines [][]byte
	for i := range total {
		for kind, n := range labMix {
			// Due whenever i*n/total reaches the next whole number.
			if (i+1)*n/total > i*n/total {
				k := i * n / total
				lines = append(lines, byType[kind][k%len(byType[kind])])
			}
		}
	}
	return lines
})

// meanLine is the mean length of a line of the mix, in bytes.
func meanLine() int64 {
	sum := 0
	for _, line := range mix() {
		sum += len(line)
	}
	return int64(sum / len(mix()))
}

// writeBacklog writes n lines of the mix to path and returns their size.
func writeBacklog(path string, n int) (size int64, err error) {
	f, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	lines := mix()
	for i := range n {
		k, err := w.Write(lines[i%len(lines)])
		if err != nil {
			return 0, err
		}
		size += int64(k)
	}
	return size, w.Flush()
}
