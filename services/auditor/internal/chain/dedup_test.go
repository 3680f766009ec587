package chain

import (
	"fmt"
	"slices"
	"testing"
)

func missing(t *testing.T, l *Log, rs ...Record) []string {
	t.Helper()
	left, err := l.Missing(rs)
	if err != nil {
		t.Fatal(err)
	}
	ids := []string{}
	for _, r := range left {
		ids = append(ids, r.ID)
	}
	return ids
}

// renumbered is a record that the stream has at another sequence.
func renumbered(r Record, streamSeq uint64) Record {
	r.StreamSeq = streamSeq
	return r
}

func named(id string, streamSeq uint64) Record {
	r := record(streamSeq)
	r.ID = id
	return r
}

func TestMissing(t *testing.T) {
	o := options(t.TempDir())
	l := segmented(t, o, 3)
	// Fetched, not logged before later ones were: it comes when its time is up.
	mustAppend(t, l, record(5), record(6))
	for _, reopened := range []bool{false, true} {
		t.Run(fmt.Sprintf("reopened %v", reopened), func(t *testing.T) {
			if reopened {
				mustClose(t, l)
				l = mustOpen(t, o)
			}
			for _, test := range []struct {
				name string
				rs   []Record
				want []string
			}{
				{"nothing", nil, []string{}},
				{"new", records(7, 8), []string{record(7).ID, record(8).ID}},
				{"delivered again", records(1, 3), []string{}},
				{"late", records(3, 5), []string{record(4).ID}},
				{"twice at once", []Record{record(7), record(7)}, []string{record(7).ID}},
				{"sequence used again", []Record{named("other", 5)}, []string{"other"}},
				{"published again, further", []Record{named("other", 5), renumbered(record(5), 6), renumbered(record(6), 7)}, []string{"other"}},
				{"published again, earlier", []Record{renumbered(record(6), 1)}, []string{}},
			} {
				t.Run(test.name, func(t *testing.T) {
					if got := missing(t, l, test.rs...); !slices.Equal(got, test.want) {
						t.Errorf("missing %v, want %v", got, test.want)
					}
				})
			}
		})
	}
}

// TestMissingOld asks for records that are only on the disk.
func TestMissingOld(t *testing.T) {
	o := options(t.TempDir())
	bounds := limits{records: MaxBatch + 50, recent: 100}
	l, err := open(o, openFile, bounds)
	if err != nil {
		t.Fatal(err)
	}
	const n = 1000
	for at := uint64(1); at <= n; at += 25 {
		mustAppend(t, l, records(at, at+24)...)
	}
	for _, reopened := range []bool{false, true} {
		t.Run(fmt.Sprintf("reopened %v", reopened), func(t *testing.T) {
			if reopened {
				mustTidy(t, l)
				mustClose(t, l)
				if l, err = open(o, openFile, bounds); err != nil {
					t.Fatal(err)
				}
				defer l.Close() //nolint:errcheck // nothing is asked of it any more
			}
			if held := len(l.dedup.recent); held > 4 {
				t.Fatalf("the ids of %d segments are in memory", held)
			}
			if got := missing(t, l, records(1, 10)...); len(got) > 0 {
				t.Errorf("missing %v of what was logged long ago", got)
			}
			if got := missing(t, l, named("other", 3), record(n+1)); !slices.Equal(got, []string{"other", record(n + 1).ID}) {
				t.Errorf("missing %v", got)
			}
			for at := uint64(1); at < n; at += n / 16 {
				if got := missing(t, l, record(at)); len(got) > 0 {
					t.Errorf("missing record %d", at)
				}
				if held := len(l.dedup.older); held > olderSets {
					t.Fatalf("the ids of %d older segments are in memory", held)
				}
			}
		})
	}
}
