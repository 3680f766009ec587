package childproc

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// HasUsage says whether [Process.Usage] works here: it needs the /proc of Linux.
const HasUsage = runtime.GOOS == "linux"

// Usage is what a process uses at one moment.
type Usage struct {
	PID     int
	RSS     int // bytes in memory
	PeakRSS int // the maximum of RSS so far
	FDs     int // open descriptors
}

// Usage reads /proc; see proc_pid_status(5) and proc_pid_fd(5). It fails for a
// process that has ended. The maximum that getrusage(2) knows includes the
// parent's memory, which the child had until it became another program.
func (p *Process) Usage() (Usage, error) {
	u := Usage{PID: p.PID()}
	dir := "/proc/" + strconv.Itoa(u.PID)
	status, err := os.ReadFile(dir + "/status")
	if err != nil {
		return u, fmt.Errorf("reading the usage of the %s process: %w", p.name(), err)
	}
	found := 0
	for lines := bufio.NewScanner(bytes.NewReader(status)); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ":")
		into := map[string]*int{"VmRSS": &u.RSS, "VmHWM": &u.PeakRSS}[name]
		if into == nil {
			continue
		}
		kib, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB"))
		if err != nil {
			return u, fmt.Errorf("reading %s/status: %w", dir, err)
		}
		*into = kib << 10
		found++
	}
	if found != 2 {
		return u, fmt.Errorf("reading %s/status: no VmRSS or VmHWM", dir)
	}
	fds, err := os.ReadDir(dir + "/fd")
	u.FDs = len(fds)
	return u, err
}

// CPU returns the time, user and system, that the last process has used. It must
// have ended.
func (p *Process) CPU() time.Duration {
	state := p.running().cmd.ProcessState
	return state.UserTime() + state.SystemTime()
}
