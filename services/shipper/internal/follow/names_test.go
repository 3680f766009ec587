package follow

import (
	"slices"
	"testing"
	"time"
)

func TestParseName(t *testing.T) {
	live := func(lane string) fileName { return fileName{lane: lane} }
	for _, c := range []struct {
		pattern, base string
		want          fileName // without a lane if it belongs to none
	}{
		{"eve.json", "eve.json", live("eve.json")},
		{"eve.json", "eve.json.1", fileName{lane: "eve.json", number: 1, moved: true}},
		{"eve.json", "eve.json.12.gz", fileName{lane: "eve.json", number: 12, moved: true, zipped: true}},
		{"eve.json", "eve.json-20240131", fileName{lane: "eve.json", date: "20240131", moved: true}},
		{"eve.json", "eve.json-20240131.gz", fileName{lane: "eve.json", date: "20240131", moved: true, zipped: true}},
		{"eve.json", "eve.json.2024-01-31_10:20", fileName{lane: "eve.json", date: "202401311020", moved: true}},
		{"eve.json", "eve.json-1700000000", fileName{lane: "eve.json", date: "1700000000", moved: true}},
		{"eve.json", "eve-20240131.json", fileName{lane: "eve.json", date: "20240131", moved: true}},
		{"eve.json", "eve-20240131.json.gz", fileName{lane: "eve.json", date: "20240131", moved: true, zipped: true}},
		{"eve.json", "eve.json.gz", fileName{lane: "eve.json", moved: true, zipped: true}},
		{"eve.json", "eve.json.bak", fileName{}},
		{"eve.json", "eve.json.1.tmp", fileName{}},
		{"eve.json", "eve.1.json", fileName{}},
		{"eve.json", "fast.log.1", fileName{}},
		{"eve.json", "xeve.json", fileName{}},
		{"eve.*.json", "eve.1.json", live("eve.1.json")},
		{"eve.*.json", "eve.1.json.2", fileName{lane: "eve.1.json", number: 2, moved: true}},
		{"eve.*.json", "eve.12.json-20240131.gz", fileName{lane: "eve.12.json", date: "20240131", moved: true, zipped: true}},
		{"eve.*.json", "eve.json", fileName{}},
		{"eve-*.json", "eve-1700000000.json", fileName{lane: "eve-*.json", date: "1700000000"}},
		{"eve-*.json", "eve-1700000000.2.json", fileName{lane: "eve-*.2.json", date: "1700000000"}},
		{"eve-*.json", "eve-2024-01-31-10:20.json.gz", fileName{lane: "eve-*.json", date: "202401311020", moved: true, zipped: true}},
		{"eve.json*", "eve.json", live("eve.json")},
		{"eve.json*", "eve.json.1", fileName{lane: "eve.json", number: 1, moved: true}},
		{"eve.json*", "eve.json-20240131.gz", fileName{lane: "eve.json", date: "20240131", moved: true, zipped: true}},
	} {
		got, ok := parseName(c.pattern, c.base)
		if !ok {
			got = fileName{}
		}
		if got != c.want || ok != (c.want.lane != "") {
			t.Errorf("%s for %s: %+v, %t, want %+v", c.base, c.pattern, got, ok, c.want)
		}
	}
}

func TestSortEntries(t *testing.T) {
	for name, want := range map[string][]string{
		"numbered":   {"eve.json.10.gz", "eve.json.2.gz", "eve.json.1", "eve.json"},
		"dated":      {"eve.json-20231231.gz", "eve.json-20240101", "eve.json"},
		"mixed":      {"eve.json.1", "eve.json-20240101", "eve.json.2.gz", "eve.json"},
		"timestamps": {"eve.json.999999999", "eve.json.1000000000", "eve.json"},
	} {
		t.Run(name, func(t *testing.T) {
			var entries []entry
			for i, base := range want {
				n, ok := parseName("eve.json", base)
				if !ok {
					t.Fatalf("%s does not belong", base)
				}
				entries = append(entries, entry{fileName: n, path: base, mtime: time.Unix(int64(i), 0)})
			}
			slices.Reverse(entries)
			sortEntries(entries)
			var got []string
			for _, e := range entries {
				got = append(got, e.path)
			}
			if !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}
