package follow

import (
	"os"
	"slices"
	"testing"
	"time"
)

func TestThreadedOutput(t *testing.T) {
	r := newRig(t, Config{Path: "eve.*.json"})
	const same = "both begin alike"
	r.write("eve.1.json", lines(same))
	r.write("eve.2.json", lines(same))
	r.expect(same, same)
	r.expectResumes()
	r.write("eve.2.json", lines("2a"))
	r.expect("2a")
	r.write("eve.1.json", lines("1a"))
	r.write("eve.3.json", lines("3a"))
	r.expect("1a", "3a")
	r.expectSameResumes()
	r.rename("eve.1.json", "eve.1.json.1")
	r.write("eve.1.json.1", lines("1b"))
	r.write("eve.1.json", lines("1c"))
	r.write("eve.3.json", lines("3b"))
	r.expect("1b", "3b", "1c")
	r.expectSameResumes()
	for range 5 {
		r.pass()
		r.expect()
	}
	if s := r.f.Stats(); s.OpenFiles != 3 || s.GenerationsBegun != 4 {
		t.Errorf("stats: %+v", s)
	}
	r.write("eve.2.json", lines("2b"))
	r.expect("2b")
	r.expectSameResumes()
	r.remove("eve.2.json")
	r.expect()
	r.pass()
	r.expect()
	if s := r.f.Stats(); s.OpenFiles != 2 {
		t.Errorf("stats: %+v", s)
	}
}

func TestTimestampedNames(t *testing.T) {
	r := newRig(t, Config{Path: "eve-*.json"})
	r.write("eve-1700000000.json", lines("old"))
	r.write("eve-1700000100.json", lines("a1"))
	r.expect("a1")
	r.write("eve-1700000100.json", lines("a2"))
	r.write("eve-1700000200.json", lines("b1"))
	r.write("eve-1700000300.json", lines("c1"))
	r.expect("a2", "b1", "c1")
	r.expectResumes()
	r.pass()
	r.expect()
	if s := r.f.Stats(); s.OpenFiles != 1 {
		t.Errorf("stats: %+v", s)
	}
	r.gzip("eve-1700000100.json")
	r.gzip("eve-1700000200.json")
	r.write("eve-1700000300.json", lines("c2"))
	r.expect("c2")
	r.expectResumes()
}

func TestManyRotationsKeepTheCheckpointShort(t *testing.T) {
	r := newRig(t, Config{Path: "eve-*.json"})
	for i := range 40 {
		name := "eve-" + time.Unix(1_700_000_000+int64(i)*3600, 0).UTC().Format("2006-01-02-15:04") + ".json"
		r.write(name, lines(name))
		r.age(name, time.Duration(40-i)*time.Hour)
		r.expect(name)
		r.pass()
	}
	for _, mark := range r.marks {
		if c, err := ParseCheckpoint(mark); err != nil || len(c.Positions) > endedKept+2 {
			t.Fatalf("checkpoint %s: %v", mark, err)
		}
	}
	r.expectResumes()
}

func TestCompressed(t *testing.T) {
	r := newRig(t, Config{})
	r.write("eve.json", lines("a1", "a2"))
	r.expect("a1", "a2")
	r.write("eve.json", lines("a3"))
	r.stop()
	r.gzip("eve.json")
	r.rename("eve.json.gz", "eve.json.2.gz")
	r.write("eve.json.1", "b1\nb2")
	r.age("eve.json.1", time.Hour)
	r.gzip("eve.json.1")
	r.write("eve.json", lines("c1"))
	r.start(r.marks[0])
	r.got, r.marks = r.got[:1], r.marks[:1]
	r.expect("a2", "a3", "b1", "unterminated: b2", "c1")
	r.expectResumes()
}

// While a file is being compressed the result ends early.
func TestCompressedWhileRead(t *testing.T) {
	r := newRig(t, Config{})
	r.write("eve.json", lines("a1"))
	r.expect("a1")
	r.stop()
	r.write("eve.json", lines("a2", "a3"))
	r.gzip("eve.json")
	whole, err := os.ReadFile(r.path("eve.json.gz"))
	if err != nil {
		t.Fatal(err)
	}
	r.remove("eve.json.gz")
	r.write("eve.json.1.gz", string(whole[:len(whole)-10]))
	r.write("eve.json", lines("b1"))
	r.start(r.marks[0])
	first := r.read()
	if slices.Contains(first, "b1") {
		t.Fatalf("got %q before the older file was whole", first)
	}
	r.write("eve.json.1.gz", string(whole[len(whole)-10:]))
	got := append(first, r.read()...)
	if want := []string{"a2", "a3", "b1"}; !slices.Equal(got, want) {
		t.Fatalf("got %q, want %q", got, want)
	}
	r.expectResumes()
}

func TestCompressedAndDamaged(t *testing.T) {
	r := newRig(t, Config{})
	r.write("eve.json", lines("a1"))
	r.expect("a1")
	r.stop()
	r.write("eve.json", lines("a2", "a3"))
	r.gzip("eve.json")
	whole, err := os.ReadFile(r.path("eve.json.gz"))
	if err != nil {
		t.Fatal(err)
	}
	r.remove("eve.json.gz")
	r.write("eve.json.1.gz", string(whole[:len(whole)-8])+"damaged!")
	r.write("eve.json", lines("b1"))
	r.start(r.marks[0])
	r.expect("a2", "a3")
	r.pass()
	r.expect("gap: 9-9", "b1")
	r.expectResumes()
}

// An old file that is written on is compressed by somebody else: the descriptor
// still leads to all of it.
func TestGrowthWhileCompressed(t *testing.T) {
	r := newRig(t, Config{})
	w := r.open("eve.json", os.O_CREATE|os.O_APPEND)
	r.put(w, lines("a1"))
	r.expect("a1")
	r.rename("eve.json", "eve.json.1")
	r.put(w, lines("a2"))
	r.gzip("eve.json.1")
	r.put(w, lines("a3"))
	r.write("eve.json", lines("b1"))
	r.expect("a2", "a3", "b1")
	r.pass()
	r.expect()
	r.write("eve.json", lines("b2"))
	r.expect("b2")
	if s := r.f.Stats(); s.OpenFiles != 1 || s.Gaps != 0 {
		t.Errorf("stats: %+v", s)
	}
}

func TestStart(t *testing.T) {
	t.Run("beginning", func(t *testing.T) {
		r := newRig(t, Config{})
		r.write("eve.json.1", lines("old"))
		r.write("eve.json", lines("a1", "a2"))
		r.expect("a1", "a2")
		r.expectResumes()
	})
	t.Run("end", func(t *testing.T) {
		r := newRig(t, Config{Start: End})
		r.write("eve.json.1", lines("old"))
		r.write("eve.json", "a1\na2")
		r.expect()
		r.write("eve.json", "+\na3\n")
		r.expect("a2+", "a3")
		r.expectResumes()
	})
	t.Run("end of a file that comes later", func(t *testing.T) {
		r := newRig(t, Config{Start: End})
		r.expect()
		r.write("eve.json", lines("a1", "a2"))
		r.expect("a1", "a2")
		r.expectResumes()
	})
}

func TestOldFileWrittenAtFirstStart(t *testing.T) {
	r := newRig(t, Config{})
	r.write("eve.json.1", lines("old"))
	r.write("eve.json", "")
	r.expect()
	r.write("eve.json.1", lines("new"))
	r.expect("new")
	r.write("eve.json", lines("a1"))
	r.expect("a1")
	r.expectResumes()
}

// The compressed copy of what was read to its end says, while it is being
// written, that there is more.
func TestCompressedAfterItWasRead(t *testing.T) {
	r := newRig(t, Config{})
	r.write("eve.json", lines("a1", "a2"))
	r.expect("a1", "a2")
	r.copy("eve.json", "eve.json.1")
	r.truncate("eve.json")
	r.write("eve.json", lines("b1"))
	r.expect("b1")
	r.pass()
	r.expect()
	r.gzip("eve.json.1")
	whole, err := os.ReadFile(r.path("eve.json.1.gz"))
	if err != nil {
		t.Fatal(err)
	}
	r.remove("eve.json.1.gz")
	for i := range whole {
		r.write("eve.json.1.gz", string(whole[i:i+1]))
		r.expect()
	}
	r.pass()
	r.write("eve.json", lines("b2"))
	r.expect("b2")
	r.expectResumes()
}
