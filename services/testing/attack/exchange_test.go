//go:build linux

package attack

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestExchangedForAPipe: a sensor's file that is exchanged for a pipe, a folder or a link
// again and again stops neither its shipper nor the others, and is read on afterwards.
func TestExchangedForAPipe(t *testing.T) {
	s := newStack(t)
	s.write("events.json", forged+"\n")
	for name, make := range map[string]func(string) error{
		"pipe":   func(path string) error { return unix.Mkfifo(path, 0o600) },
		"folder": func(path string) error { return os.Mkdir(path, 0o700) },
		"link":   func(path string) error { return os.Symlink("/dev/zero", path) },
	} {
		if err := make(s.path(name)); err != nil {
			t.Fatal(err)
		}
	}
	s.up()
	s.inChat("forged by a local user") // so that it is being followed
	for n := range 3000 {
		other := s.path([]string{"pipe", "folder", "link"}[n/2%3])
		if err := unix.Renameat2(unix.AT_FDCWD, s.path("events.json"), unix.AT_FDCWD, other, unix.RENAME_EXCHANGE); err != nil {
			t.Skipf("files cannot be exchanged here: %v", err)
		}
		if n%500 == 499 { // the shipper has looked at what is there now
			s.write("eve.json", strings.Replace(alert(fmt.Sprint("meanwhile ", n), 1, "Major"), "8800001", fmt.Sprint(8800100+n), 1))
			s.inChat(fmt.Sprint("meanwhile ", n))
		}
	}
	s.write("events.json", strings.Replace(forged, "forged by a local user", "what came afterwards", 2)+"\n")
	s.inChat("what came afterwards")
}
