package follow

import (
	"os"
	"strings"
	"testing"
	"time"
)

func TestCopyTruncate(t *testing.T) {
	r := newRig(t, Config{})
	r.write("eve.json", lines("a1", "a2"))
	r.expect("a1", "a2")
	r.write("eve.json", lines("a3"))
	r.copy("eve.json", "eve.json.1")
	r.truncate("eve.json")
	r.expect("a3")
	r.write("eve.json", lines("b1"))
	r.expect("b1")
	r.expectResumes()
	r.rename("eve.json.1", "eve.json.2")
	r.copy("eve.json", "eve.json.1")
	r.truncate("eve.json")
	r.write("eve.json", lines("c1", "c2", "c3"))
	r.gzip("eve.json.2")
	r.expect("c1", "c2", "c3")
	r.expectResumes()
	if s := r.f.Stats(); s.Truncations != 2 || s.Gaps != 0 {
		t.Errorf("stats: %+v", s)
	}
}

func TestTruncatedAndGrownBeyond(t *testing.T) {
	r := newRig(t, Config{})
	r.write("eve.json", lines("a1", "a2"))
	r.expect("a1", "a2")
	r.write("eve.json", lines("a3"))
	r.copy("eve.json", "eve.json.1")
	r.truncate("eve.json")
	r.write("eve.json", lines("b1", "b2", "b3", "b4", "b5"))
	r.expect("a3", "b1", "b2", "b3", "b4", "b5")
	r.expectResumes()
}

// A writer without O_APPEND goes on at its old offset, behind a hole.
func TestCopyTruncateHole(t *testing.T) {
	r := newRig(t, Config{})
	w := r.open("eve.json", os.O_CREATE)
	r.put(w, lines("a1", "a2"))
	r.expect("a1", "a2")
	r.copy("eve.json", "eve.json.1")
	r.truncate("eve.json")
	r.put(w, lines("b1"))
	r.expect("b1")
	r.expectResumes()
	r.put(w, lines("b2"))
	r.rename("eve.json.1", "eve.json.2")
	r.copy("eve.json", "eve.json.1")
	r.put(w, lines("lost"))
	r.truncate("eve.json")
	r.put(w, lines("c1"))
	r.expect("b2", "gap: 12-17", "c1")
	r.expectResumes()
	if s := r.f.Stats(); s.NULBytes != 6+17 || s.Gaps != 1 || s.GapBytes != 5 {
		t.Errorf("stats: %+v", s)
	}
}

func TestTruncatedWithoutCopy(t *testing.T) {
	r := newRig(t, Config{})
	r.write("eve.json", lines("a1", "a2", "a3", "a4"))
	r.f.step(3) // leaves a4 read but not returned
	r.write("eve.json", lines("a5"))
	r.f.Stats()
	r.truncate("eve.json")
	r.expect("a4", "gap: 12-15")
	r.write("eve.json", lines("b1"))
	r.expect("b1")
	if s := r.f.Stats(); s.Truncations != 1 || s.Gaps != 1 || s.GapBytes != 3 {
		t.Errorf("stats: %+v", s)
	}
}

func TestTruncatedAtItsEnd(t *testing.T) {
	r := newRig(t, Config{})
	r.write("eve.json", lines("a1"))
	r.expect("a1")
	for range 3 {
		r.truncate("eve.json")
		r.expect()
		r.write("eve.json", lines("a1")) // the same again
		r.expect("a1")
	}
	if s := r.f.Stats(); s.Truncations != 3 || s.Gaps != 0 {
		t.Errorf("stats: %+v", s)
	}
}

func TestTruncatedWhileDown(t *testing.T) {
	r := newRig(t, Config{})
	r.write("eve.json", lines("a1", "a2"))
	r.expect("a1", "a2")
	r.stop()
	r.write("eve.json", lines("a3"))
	r.copy("eve.json", "eve.json.1")
	r.truncate("eve.json")
	r.write("eve.json", lines("b1"))
	r.start(r.marks[0])
	r.expect("a2", "a3", "b1")
	r.stop()
	r.remove("eve.json.1")
	r.start(r.marks[0])
	r.expect("gap: 3-3", "b1")
}

func TestInodeReused(t *testing.T) {
	r := newRig(t, Config{})
	r.write("eve.json", lines("a1", "a2", "a3"))
	r.expect("a1", "a2", "a3")
	r.stop()
	r.write("eve.json", lines("a4"))
	r.copy("eve.json", "eve.json.1")
	// The same inode holds another generation, larger than what was read.
	r.truncate("eve.json")
	r.write("eve.json", lines("b1", "b2", "b3", "b4", "b5"))
	r.start(r.marks[2])
	r.expect("a4", "b1", "b2", "b3", "b4", "b5")
}

func TestSameFirstLine(t *testing.T) {
	header := strings.Repeat("h", 40)
	r := newRig(t, Config{})
	r.write("eve.json", lines(header, "a1", "a2"))
	r.expect(header, "a1", "a2")
	r.rename("eve.json", "eve.json.1")
	r.write("eve.json", lines(header, "b1"))
	r.expect(header, "b1")
	r.rename("eve.json.1", "eve.json.2")
	r.rename("eve.json", "eve.json.1")
	r.write("eve.json", lines(header, "c1", "c2", "c3"))
	r.expect(header, "c1", "c2", "c3")
	r.expectResumes()
	r.pass()
	r.expect()
	r.write("eve.json", lines("c4"))
	r.expect("c4")
	r.expectResumes()
	r.truncate("eve.json")
	r.expect()
	r.write("eve.json", lines(header))
	r.expect(header)
	r.write("eve.json", lines("d1"))
	r.expect("d1")
}

func TestCopiesAreNotShipped(t *testing.T) {
	r := newRig(t, Config{})
	r.write("eve.json", lines("a1", "a2"))
	r.expect("a1", "a2")
	for _, name := range []string{"eve.json.bak", "eve.json.1", "eve.json-20240101"} {
		r.copy("eve.json", name)
		r.expect()
	}
	r.write("eve.json", lines("a3"))
	r.expect("a3")
	r.copy("eve.json", "eve.json.2")
	r.writeGzip("eve.json.3.gz", lines("a1", "a2"))
	r.writeGzip("eve.json.4.gz", lines("a1", "a2", "a3"))
	r.expect()
	r.expectResumes()
	r.rename("eve.json", "eve.json.5")
	r.write("eve.json", lines("b1"))
	r.expect("b1")
	r.expectResumes()
	r.pass()
	r.expect()
	r.write("eve.json", lines("b2"))
	r.expect("b2")
	r.expectResumes()
}

func TestRestFoundUnderAnyName(t *testing.T) {
	r := newRig(t, Config{})
	r.write("eve.json", lines("a1", "a2"))
	r.expect("a1", "a2")
	r.write("eve.json", lines("a3"))
	r.copy("eve.json", "saved by hand")
	r.truncate("eve.json")
	r.expect("a3")
	r.write("eve.json", lines("b1"))
	r.expect("b1")
	r.expectResumes()
	r.pass()
	r.expect()
	r.write("eve.json", lines("b2"))
	r.expect("b2")
	r.expectResumes()
}

func TestGenerationVanished(t *testing.T) {
	r := newRig(t, Config{})
	r.write("eve.json", lines("a1", "a2"))
	r.expect("a1", "a2")
	r.stop()
	mark := r.marks[1]
	r.remove("eve.json")

	t.Run("nothing yet", func(t *testing.T) {
		r.start(mark)
		defer r.stop()
		r.expect()
	})
	r.write("eve.json.2", lines("b1"))
	r.write("eve.json.1", lines("c1"))
	r.write("eve.json", lines("d1"))
	t.Run("all that is there is unread", func(t *testing.T) {
		r.start(mark)
		defer r.stop()
		r.expect("gap: 6-6", "b1", "c1", "d1")
	})
	t.Run("a checkpoint without settled time", func(t *testing.T) {
		r.age("eve.json.2", time.Hour)
		r.cfg.StoredAt = r.now.Add(-time.Minute)
		r.start("1;;0123456789abcdef:6:00000000")
		r.expect("gap: 6-6", "c1", "d1")
		r.restart()
		r.expect()
	})
}
