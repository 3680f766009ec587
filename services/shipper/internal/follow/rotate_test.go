package follow

import (
	"os"
	"testing"
	"time"
)

func TestGrowth(t *testing.T) {
	r := newRig(t, Config{})
	r.expect()
	r.write("eve.json", "one\ntw")
	r.expect("one")
	r.write("eve.json", "o\r\n\n\r\nthree\n\x00\x00four\n")
	r.expect("two", "three", "four")
	r.expect()
	r.expectResumes()
	s := r.f.Stats()
	if s.BlankLines != 2 || s.NULBytes != 2 || s.LinesRead != 4 || s.LagBytes != 0 {
		t.Errorf("stats: %+v", s)
	}
}

func TestRenameAndCreate(t *testing.T) {
	r := newRig(t, Config{})
	r.write("eve.json", lines("a1", "a2"))
	r.expect("a1", "a2")
	r.write("eve.json", lines("a3"))
	r.rename("eve.json", "eve.json.1")
	r.write("eve.json.1", lines("a4"))
	r.write("eve.json", lines("b1"))
	r.expect("a3", "a4", "b1")
	r.expectResumes()
	r.write("eve.json.1", lines("a5"))
	r.write("eve.json", lines("b2"))
	r.expect("a5", "b2")
	r.expectSameResumes()
	r.pass()
	r.expect()
	if s := r.f.Stats(); s.OpenFiles != 1 || s.GenerationsBegun != 2 || s.GenerationsDrained != 1 {
		t.Errorf("stats: %+v", s)
	}
}

func TestOldInodeWrittenForEver(t *testing.T) {
	for _, create := range []bool{false, true} {
		r := newRig(t, Config{})
		w := r.open("eve.json", os.O_CREATE|os.O_APPEND)
		r.put(w, lines("a1"))
		r.expect("a1")
		r.rename("eve.json", "eve.json.1")
		if create {
			r.write("eve.json", "")
		}
		for range 3 {
			r.pass()
			r.expect()
			r.put(w, "a2")
			r.expect()
			r.pass()
			r.expect()
			r.put(w, "+\n")
			r.expect("a2+")
		}
		r.expectResumes()
		r.remove("eve.json.1")
		r.pass()
		r.put(w, lines("a3"))
		r.expect("a3")
	}
}

func TestWrittenAfterItEnded(t *testing.T) {
	r := newRig(t, Config{})
	w := r.open("eve.json", os.O_CREATE|os.O_APPEND)
	r.put(w, lines("a1"))
	r.expect("a1")
	r.rename("eve.json", "eve.json.1")
	r.write("eve.json", lines("b1"))
	r.expect("b1")
	r.pass()
	r.expect()
	r.put(w, lines("a2"))
	r.write("eve.json", lines("b2"))
	r.expect("a2", "b2")
	r.expectSameResumes()
}

func TestUnterminatedEnd(t *testing.T) {
	r := newRig(t, Config{})
	r.write("eve.json", "a1\nto")
	r.expect("a1")
	r.rename("eve.json", "eve.json.1")
	r.write("eve.json", lines("b1"))
	r.expect() // b1 waits for the rest of the line before it
	r.write("eve.json.1", "rn")
	r.expect()
	r.pass()
	r.expect("unterminated: torn", "b1")
	r.expectResumes()
	if s := r.f.Stats(); s.UnterminatedLines != 1 {
		t.Errorf("stats: %+v", s)
	}
}

func TestBurstOfRotations(t *testing.T) {
	r := newRig(t, Config{})
	r.write("eve.json", lines("a1"))
	r.expect("a1")
	r.write("eve.json", lines("a2"))
	for _, next := range []string{"b", "c", "d"} {
		shift(r)
		r.write("eve.json", lines(next+"1", next+"2"))
	}
	r.expect("a2", "b1", "b2", "c1", "c2", "d1", "d2")
	r.expectResumes()
	r.pass()
	r.expect()
	r.gzip("eve.json.3")
	r.gzip("eve.json.2")
	r.gzip("eve.json.1")
	r.expect()
	r.expectResumes()
}

// shift renames as logrotate does.
func shift(r *rig) {
	r.t.Helper()
	for _, n := range [][2]string{{".3", ".4"}, {".2", ".3"}, {".1", ".2"}, {"", ".1"}} {
		if _, err := os.Stat(r.path("eve.json" + n[0])); err == nil {
			r.rename("eve.json"+n[0], "eve.json"+n[1])
		}
	}
}

func TestSeveralRotationsWhileDown(t *testing.T) {
	names := map[string][]string{
		"numbered":   {".3", ".2", ".1"},
		"compressed": {".3", ".2", ".1"},
		"dated":      {"-20240101", "-20240102", "-20240103"},
		"seconds":    {".1700000000", ".1700000100", ".1700000200"},
	}
	for name, names := range names {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Config{})
			r.write("eve.json.9", lines("before", "our", "time"))
			r.age("eve.json.9", 9*time.Hour)
			r.write("eve.json", lines("a1", "a2"))
			r.expect("a1", "a2")
			r.stop()
			r.write("eve.json", lines("a3"))
			r.rename("eve.json", "eve.json"+names[0])
			r.write("eve.json", "b1\nb2")
			r.rename("eve.json", "eve.json"+names[1])
			r.write("eve.json", lines("c1", "c2"))
			r.rename("eve.json", "eve.json"+names[2])
			r.write("eve.json", lines("d1"))
			r.age("eve.json"+names[0], 3*time.Hour)
			r.age("eve.json"+names[1], 2*time.Hour)
			r.age("eve.json"+names[2], 1*time.Hour)
			if name == "compressed" {
				for _, n := range names {
					r.gzip("eve.json" + n)
				}
			}
			r.start(r.marks[len(r.marks)-1])
			r.expect("a3", "b1", "unterminated: b2", "c1", "c2", "d1")
			r.expectResumes()
		})
	}
}

func TestClockSetBackWhileDown(t *testing.T) {
	r := newRig(t, Config{})
	r.write("eve.json.1", lines("old"))
	r.write("eve.json", lines("a1"))
	r.expect("a1")
	r.stop()
	shift(r)
	r.write("eve.json", lines("b1"))
	shift(r)
	r.age("eve.json.1", time.Hour)
	r.write("eve.json", lines("c1"))
	r.start(r.marks[0])
	r.expect("b1", "c1")
	r.expectResumes()
}

func TestDeletedAndCreated(t *testing.T) {
	r := newRig(t, Config{})
	w := r.open("eve.json", os.O_CREATE|os.O_APPEND)
	r.put(w, lines("a1"))
	r.expect("a1")
	r.put(w, lines("a2"))
	r.remove("eve.json")
	r.expect("a2")
	r.put(w, lines("a3"))
	r.expect("a3")
	r.write("eve.json", lines("b1"))
	r.expect("b1")
	if s := r.f.Stats(); s.Gaps != 0 {
		t.Errorf("stats: %+v", s)
	}
}

func TestSymlinkSwapped(t *testing.T) {
	r := newRig(t, Config{})
	for _, dir := range []string{"x", "y"} {
		if err := os.Mkdir(r.path(dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	link := func(to string) {
		t.Helper()
		if err := os.Symlink(to, r.path("new")); err != nil {
			t.Fatal(err)
		}
		r.rename("new", "eve.json")
	}
	r.write("x/one", lines("a1"))
	link("x/one")
	r.expect("a1")
	r.write("x/two", lines("b1"))
	link("x/two")
	r.write("x/one", lines("a2"))
	r.expect("a2", "b1")
	r.expectResumes()
	r.write("y/three", lines("c1"))
	link("y/three")
	r.write("x/two", lines("b2"))
	r.expect("b2", "c1")
}
