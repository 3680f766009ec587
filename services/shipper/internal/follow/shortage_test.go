package follow

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// limitDescriptors leaves n descriptors beside those in use and the spare ones.
func limitDescriptors(t *testing.T, n int) (restore func()) {
	t.Helper()
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	probe, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	lowest := int(probe.Fd())
	if err := probe.Close(); err != nil {
		t.Fatal(err)
	}
	after := before
	after.Cur = uint64(lowest + n + spareDescriptors)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &after); err != nil {
		t.Fatal(err)
	}
	restore = func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(restore)
	return restore
}

// What can be opened is read, and the rest as soon as there are descriptors again.
func TestOutOfDescriptors(t *testing.T) {
	const n = 40
	for _, resumed := range []bool{false, true} {
		t.Run(fmt.Sprintf("resumed=%t", resumed), func(t *testing.T) {
			r := newRig(t, Config{Path: "eve.*.json"})
			var all []string
			if resumed {
				r.write("eve.first.json", lines("first"))
				r.expect("first")
				r.stop()
			}
			for i := range n {
				name := fmt.Sprintf("eve.%d.json", i)
				r.write(name, lines(name))
				all = append(all, name)
			}
			restore := limitDescriptors(t, n/2)
			if resumed {
				r.start(r.marks[0])
			}
			got := r.read()
			if len(got) == 0 || len(got) >= n {
				t.Fatalf("%d lines of %d files were returned", len(got), n)
			}
			if w := r.f.Stats().Waiting; !strings.Contains(w, "out of file descriptors") || !strings.Contains(w, fmt.Sprint(n-len(got), " files")) {
				t.Errorf("%d of %d files were read, waiting: %q", len(got), n, w)
			}
			// The rest of the process has some left.
			for range spareDescriptors / 2 {
				f, err := os.Open(os.DevNull)
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
			}
			// What is followed stays so, and rotated files are not forgotten.
			first := got[0]
			r.write(first, lines("more of "+first))
			r.rename(first, first+".1")
			r.write(first, lines("new "+first))
			all = append(all, "more of "+first, "new "+first)
			got = append(got, r.read()...)
			restore()
			got = append(got, r.read()...)
			slices.Sort(got)
			slices.Sort(all)
			if !slices.Equal(got, all) {
				t.Errorf("got  %q\nwant %q", got, all)
			}
			if w := r.f.Stats().Waiting; w != "" {
				t.Errorf("waiting: %q", w)
			}
		})
	}
}

// If others have taken all descriptors, nothing is read, nothing is given up, and
// what waits is said.
func TestNoDescriptorsAtAll(t *testing.T) {
	r := newRig(t, Config{})
	r.write("eve.json", lines("a1"))
	r.expect("a1")
	restore := limitDescriptors(t, 0)
	var taken []*os.File
	for {
		f, err := os.Open(os.DevNull)
		if err != nil {
			break
		}
		taken = append(taken, f)
	}
	// The writer has a descriptor of its own.
	if err := taken[0].Close(); err != nil {
		t.Fatal(err)
	}
	w := r.open("eve.json", os.O_APPEND)
	taken = append(taken[1:], w)
	r.put(w, lines("a2"))
	shift(r)
	shift(r)
	r.pass()
	r.expect("a2")
	if w := r.f.Stats().Waiting; !strings.Contains(w, "out of file descriptors") {
		t.Errorf("waiting: %q", w)
	}
	for _, f := range taken {
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	restore()
	r.write("eve.json", lines("b1"))
	r.expect("b1")
	r.expectResumes()
}
