package torture

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strconv"
)

// sample is what a process used at one moment.
type sample struct {
	pid int
	rss int // bytes in memory
	fds int // open descriptors
}

// hasProc says that memory and descriptors of another process can be read.
const (
	hasProc   = runtime.GOOS == "linux"
	needsProc = "it needs the /proc of Linux"
)

// takeSample reads /proc; see proc_pid_statm(5) and proc_pid_fd(5).
func takeSample(pid int) (sample, error) {
	dir := "/proc/" + strconv.Itoa(pid)
	statm, err := os.ReadFile(dir + "/statm")
	if err != nil {
		return sample{}, err
	}
	fields := bytes.Fields(statm)
	if len(fields) < 2 {
		return sample{}, fmt.Errorf("reading %s/statm: %q", dir, statm)
	}
	pages, err := strconv.Atoi(string(fields[1]))
	if err != nil {
		return sample{}, fmt.Errorf("reading %s/statm: %w", dir, err)
	}
	fds, err := os.ReadDir(dir + "/fd")
	if err != nil {
		return sample{}, err
	}
	return sample{pid: pid, rss: pages * os.Getpagesize(), fds: len(fds)}, nil
}
