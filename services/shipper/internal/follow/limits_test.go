package follow

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// More files than a checkpoint has room for are refused, in words.
func TestTooManyFiles(t *testing.T) {
	r := newRig(t, Config{Path: "eve.*.json"})
	for i := range MaxFiles + 1 {
		r.write(fmt.Sprintf("eve.%d.json", i), lines(fmt.Sprint(i)))
	}
	_, err := r.f.Next(t.Context(), 10)
	if err == nil || !strings.Contains(err.Error(), "121 files match ") || !strings.Contains(err.Error(), "at most 120 ") {
		t.Errorf("error %v", err)
	}
}

// Files that come while others are followed wait until there is room for them, and
// say so.
func TestMoreFilesThanPositions(t *testing.T) {
	r := newRig(t, Config{Path: "eve.*.json"})
	r.max = 100
	r.expect()
	const n = maxPositions + 10
	var all []string
	for i := range n {
		name := fmt.Sprintf("eve.%d.json", i)
		r.write(name, lines(name))
		all = append(all, name)
	}
	got := r.read()
	if len(got) < MaxFiles || len(got) >= n {
		t.Fatalf("%d lines of %d files were returned", len(got), n)
	}
	if w := r.f.Stats().Waiting; !strings.Contains(w, "files wait to be read") {
		t.Errorf("waiting: %q", w)
	}
	for _, mark := range r.marks {
		if _, err := ParseCheckpoint(mark); err != nil {
			t.Fatal(err)
		}
	}
	// The others are read as soon as some are gone.
	for _, name := range got[:50] {
		r.remove(name)
	}
	for range 4 {
		r.pass()
		got = append(got, r.read()...)
	}
	slices.Sort(got)
	slices.Sort(all)
	if !slices.Equal(got, all) {
		t.Errorf("%d lines of %d files were returned", len(got), n)
	}
	if w := r.f.Stats().Waiting; w != "" {
		t.Errorf("waiting: %q", w)
	}
}

// Generations with the same first line have different names, and keep them after a
// restart.
func TestNamesOfGenerationsThatBeginAlike(t *testing.T) {
	r := newRig(t, Config{})
	ids := make(map[string]string)
	see := func(want ...string) {
		t.Helper()
		for idle := 0; idle < 2; {
			r.f.step(10)
			for i := range r.f.batch.Lines {
				l := &r.f.batch.Lines[i]
				id := fmt.Sprint(l.Generation, ":", l.Start)
				if len(want) == 0 || string(l.Text) != want[0] {
					t.Fatalf("got %q, want %q", l.Text, want)
				}
				want = want[1:]
				if ids[id] != "" {
					t.Errorf("%q is at %s, where %q was", l.Text, id, ids[id])
				}
				ids[id] = string(l.Text)
				r.marks = append(r.marks, string(r.f.batch.AppendCheckpoint(nil, i)))
			}
			if len(r.f.batch.Lines) == 0 {
				idle++
				r.now = r.now.Add(r.f.cfg.PollInterval)
			}
		}
		if len(want) > 0 {
			t.Fatalf("%q were not returned", want)
		}
	}
	r.write("eve.json", lines("header", "a"))
	see("header", "a")
	for i := range 6 {
		shift(r)
		r.write("eve.json", lines("header", "a"))
		see("header", "a")
		if i%2 == 0 {
			r.pass()
		}
		r.restart()
		see()
	}
	if len(ids) != 14 {
		t.Errorf("%d lines have names of their own", len(ids))
	}
	for id := range ids {
		if name, _, _ := strings.Cut(id, ":"); name == r.f.gens[0].id && ids[name+":0"] != "header" {
			t.Errorf("the first is not named after its first line alone: %v", ids)
		}
	}
}

// A file that was read to its end after a newer one had come is not a loss if
// retention deletes it while the follower is away.
func TestNoGapForWhatWasRead(t *testing.T) {
	r := newRig(t, Config{})
	r.write("eve.json", lines("a1"))
	r.expect("a1")
	shift(r)
	r.write("eve.json", lines("b1"))
	r.expect("b1")
	r.stop()
	r.remove("eve.json.1")
	r.write("eve.json", lines("b2"))
	r.start(r.marks[1])
	r.expect("b2")
	r.stop()
	// But one that nobody knows to have been read is.
	r.start(r.marks[0])
	r.expect("gap: 3-3", "b1", "b2")
}

// Of several files that begin with the little that was read of a generation, it is none
// that was done with before, though the names of those say that they are older.
func TestLittleWasRead(t *testing.T) {
	r := newRig(t, Config{})
	const before = endedKept + 3 // more than a checkpoint lists
	for i := range before {
		line := fmt.Sprint("a", i)
		r.write("eve.json", lines("header", line))
		r.expect("header", line)
		r.age("eve.json", time.Duration(before-i)*time.Hour)
		r.rename("eve.json", fmt.Sprintf("eve.json-2026010%d", i+1))
		r.pass()
		r.expect()
	}
	r.write("eve.json", lines("header"))
	r.expect("header")
	r.stop()
	r.write("eve.json", lines("b1"))
	r.rename("eve.json", "eve.json-20260109")
	r.write("eve.json", lines("c1"))
	r.start(r.marks[len(r.marks)-1])
	r.expect("b1", "c1")
}

// A checkpoint of version 1.0, which took six digits for a date and thus several
// series for one, is continued exactly.
func TestCheckpointOfTheVersionBefore(t *testing.T) {
	for _, c := range []struct {
		pattern string
		names   []string
		before  string
	}{
		{"w-*.json", []string{"w-100001.json", "w-100002.json"}, "w-*.json"},
		{
			"eve-*.json",
			[]string{"eve-2024-01-31T03-15-51.642.json", "eve-2024-02-01T03-15-51.642.json"},
			"eve-*.642.json",
		},
	} {
		t.Run(c.pattern, func(t *testing.T) {
			r := newRig(t, Config{Path: c.pattern})
			for _, name := range c.names {
				r.write(name, lines(name+" 1"))
				r.expect(name + " 1")
			}
			r.stop()
			mark := r.marks[1]
			for _, name := range c.names {
				tag := seriesTag(c.pattern, parseCurrent(name).series)
				mark = strings.ReplaceAll(mark, tag+"/", seriesTag(c.pattern, c.before)+"/")
			}
			if mark == r.marks[1] {
				t.Fatal("the series has the name that it had before")
			}
			var want []string
			for _, name := range c.names {
				r.write(name, lines(name+" 2"))
				want = append(want, name+" 2")
			}
			r.start(mark)
			r.expect(want...)
			r.marks, r.got = r.marks[2:], r.got[2:]
			r.expectResumes()
		})
	}
}

// Version 1.0 did not know "eve.1.json", and what was there before its first start
// is not read after an upgrade either.
func TestHistoryOfTheVersionBefore(t *testing.T) {
	r := newRig(t, Config{})
	at := func(second int) string { return fmt.Sprintf(`{"timestamp":"2026-01-31T03:15:%02d+0000"}`, second) }
	r.write("eve.2.json", lines(at(1)))
	r.write("eve.1.json", lines(at(2)))
	r.write("eve.json", lines(at(3)))
	r.expect(at(3))
	r.stop()
	mark := "1;0;" + r.marks[0][strings.LastIndexByte(r.marks[0], ',')+1:]
	r.write("eve.json", lines(at(4)))
	r.start(mark)
	r.expect(at(4))
	r.marks, r.got = r.marks[1:], r.got[1:]
	r.expectResumes()
}

// A log beside ours that is still written is not taken for a rotated one, though
// all its lines were written between two of our files.
func TestAnotherLogIsWrittenBeside(t *testing.T) {
	r := newRig(t, Config{})
	at := func(second int) string { return fmt.Sprintf(`{"timestamp":"2026-01-31T03:15:%02d+0000"}`, second) }
	r.write("eve.json", lines(at(1)))
	r.expect(at(1))
	shift(r)
	for i := range 2 {
		r.write("eve-alerts.json", lines(at(2+i)))
		r.expect()
	}
	r.write("eve.json", lines(at(5)))
	r.expect(at(5))
}
