package follow

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestLogrotate plays the situations of the table with the real logrotate, told to
// rotate in the ways that are used most often.
func TestLogrotate(t *testing.T) {
	program, err := exec.LookPath("logrotate")
	if err != nil {
		program = "/usr/sbin/logrotate" // which is not in every user's path
	}
	if _, err := os.Stat(program); err != nil {
		t.Skip("logrotate is not installed (Debian has it in the package of that name)")
	}
	for _, options := range []string{
		"create",
		"nocreate",
		"copytruncate",
		"copy",
		"extension .json",
		"dateext",
		"compress",
		"compress\ndelaycompress",
		"compress\ndelaycompress\ncopytruncate",
		"compress\ncompresscmd /usr/bin/xz\ncompressext .xz",
		"compress\ncompresscmd /usr/bin/bzip2\ncompressext .bz2",
		"olddir old",
		"olddir old\ncompress\ndelaycompress\ndateext",
	} {
		name := strings.ReplaceAll(options, "\n", ", ")
		_, command, _ := strings.Cut(options, "compresscmd ")
		command, _, _ = strings.Cut(command, "\n")
		for _, situation := range situations() {
			t.Run(name+"/"+situation.name, func(t *testing.T) {
				if _, err := os.Stat(command); command != "" && err != nil {
					t.Skipf("%s is not installed", command)
				}
				names := scheme{rotate: func(s *stage) { logrotate(s, program, options) }}
				if strings.Contains(options, "olddir") {
					names.olddir = "old"
				}
				s := newStage(t, names)
				s.cfg.Logger = failureLog(t)
				situation.play(s)
				if r := s.result(); r.lost > 0 || r.doubled > 0 || r.gaps > 0 || r.sameID > 0 || r.misplaced > 0 {
					t.Errorf("%+v %q, lost %q", r, s.gaps, s.missing())
				}
			})
		}
	}
}

// logrotate has the program rotate once. The time in a name is the stage's, and so is
// that of files which the program has written.
func logrotate(s *stage, program, options string) {
	s.t.Helper()
	config, state := filepath.Join(s.t.TempDir(), "logrotate.conf"), filepath.Join(s.t.TempDir(), "state")
	options = strings.ReplaceAll(options, "dateext", s.clock.Format("dateext\ndateformat -20060102-150405"))
	text := fmt.Sprintf("%s {\nrotate 30\nmissingok\nifempty\n%s\n}\n", s.at(s.live), options)
	s.check(os.WriteFile(config, []byte(text), 0o600))
	if out, err := exec.CommandContext(s.t.Context(), program, "--force", "--state", state, config).CombinedOutput(); err != nil {
		s.t.Fatalf("logrotate: %v\n%s", err, out)
	}
	s.check(filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err == nil && info.ModTime().After(s.clock) {
			err = os.Chtimes(path, s.clock, s.clock)
		}
		return err
	}))
}
