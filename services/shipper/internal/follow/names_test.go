package follow

import (
	"slices"
	"testing"
	"time"
)

func TestParseName(t *testing.T) {
	for _, c := range []struct {
		pattern, base string
		// series is empty if the name belongs to none; kind is live, dated (live as
		// long as no newer one is there), number, date, time, likely or beside.
		series, kind string
	}{
		{"eve.json", "eve.json", "eve.json", "live"},
		{"eve.json", "eve.json.1", "eve.json", "number"},
		{"eve.json", "eve.json.12.gz", "eve.json", "number"},
		{"eve.json", "eve.json.gz.1", "eve.json", "number"},
		{"eve.json", "eve.json.001", "eve.json", "number"},
		{"eve.json", "eve.json-1", "eve.json", "number"},
		{"eve.json", "eve.json_1.zst", "eve.json", "number"},
		{"eve.json", "eve.json-20240131", "eve.json", "date"},
		{"eve.json", "eve.json-20240131.gz", "eve.json", "date"},
		{"eve.json", "eve.json.2024-01-31_10:20", "eve.json", "date"},
		{"eve.json", "eve.json.2024-01-31T10:20:30Z", "eve.json", "date"},
		{"eve.json", "eve.json.2024-01-31T10:20:30.642Z.xz", "eve.json", "date"},
		{"eve.json", "eve.json-20240131T102030+0000", "eve.json", "date"},
		{"eve.json", "eve.json-1700000000", "eve.json", "date"},
		{"eve.json", "eve.json.2024-01-31.10", "eve.json", "date"},
		{"eve.json", "eve-20240131.json", "eve.json", "date"},
		{"eve.json", "eve-20240131.json.bz2", "eve.json", "date"},
		{"eve.json", "eve-2024-01-31T03-15-51.642.json", "eve.json", "date"},
		{"eve.json", "eve-2024-01-31T03-15-51.642.json.gz", "eve.json", "date"},
		{"eve.json", "eve.2024-01-31.0.json", "eve.json", "date"},
		{"eve.json", "20240131-eve.json", "eve.json", "date"},
		{"eve.json", "eve.json.123456", "eve.json", "time"},
		{"eve.json", "eve.json.31-Jan-2026", "eve.json", "time"},
		{"eve.json", "eve.json.Jan31", "eve.json", "time"},
		{"eve.json", "eve.json.gz", "eve.json", "time"},
		{"eve.json", "eve.json.bak", "eve.json", "likely"},
		{"eve.json", "eve.json~", "eve.json", "likely"},
		{"eve.json", "eve.json.old.gz", "eve.json", "likely"},
		{"eve.json", "eve.1.json", "eve.json", "likely"},
		{"eve.json", "eve-1.json.zst", "eve.json", "likely"},
		{"eve.json", "eve_20241331.json", "eve.json", "likely"},
		{"eve.json", "eve.json.1.tmp", "eve.json", "beside"},
		{"eve.json", "eve-alerts.json", "eve.json", "beside"},
		{"eve.json", "eve2.json", "eve.json", "beside"},
		{"eve.json", "my-eve.json", "eve.json", "beside"},
		{"eve.json", "fast.log.1", "", ""},
		{"eve.json", "xeve.json", "", ""},
		{"eve.json", "events.json", "eve.json", "beside"},
		{"eve.*.json", "eve.1.json", "eve.1.json", "live"},
		{"eve.*.json", "eve.1.json.2", "eve.1.json", "number"},
		{"eve.*.json", "eve.12.json-20240131.gz", "eve.12.json", "date"},
		{"eve.*.json", "eve.12.json.old", "eve.12.json", "likely"},
		{"eve.*.json", "eve.json", "", ""},
		{"eve-*.json", "eve-1700000000.json", "eve-*.json", "dated"},
		{"eve-*.json", "eve-1700000000.2.json", "eve-*.2.json", "dated"},
		{"eve-*.json", "eve-2024-01-31-10:20.json.gz", "eve-*.json", "date"},
		{"eve-*.json", "eve-2024-01-31T03-15-51.642.json", "eve-*.json", "dated"},
		{"eve-*.json", "eve-100001.json", "eve-100001.json", "live"},
		{"eve-*.json", "eve-10000001.json", "eve-10000001.json", "live"},
		{"eve.json*", "eve.json", "eve.json", "live"},
		{"eve.json*", "eve.json.1", "eve.json", "number"},
		{"eve.json*", "eve.json-20240131.gz", "eve.json", "date"},
	} {
		got, ok := parseName(c.pattern, c.base)
		kind := "time"
		switch {
		case !ok:
			kind = ""
		case got.relation == likely:
			kind = "likely"
		case got.relation == beside:
			kind = "beside"
		case got.current():
			kind = "live"
		case got.dated && !got.moved:
			kind = "dated"
		case got.dated:
			kind = "date"
		case got.numbered():
			kind = "number"
		}
		if got.series != c.series || kind != c.kind {
			t.Errorf("%s for %s: %s of %q, want %s of %q (%+v)", c.base, c.pattern, kind, got.series, c.kind, c.series, got)
		}
	}
}

func TestSortEntries(t *testing.T) {
	for name, want := range map[string][]string{
		"numbered":   {"eve.json.10.gz", "eve.json.2.gz", "eve.json.1", "eve.json"},
		"dated":      {"eve.json-20231231.gz", "eve.json-20240101", "eve.json"},
		"mixed":      {"eve.json.1", "eve.json-20240101", "eve.json.2.gz", "eve.json"},
		"timestamps": {"eve.json.999999999", "eve.json.1000000000", "eve.json"},
		"upwards":    {"eve.json.1", "eve.json.2.gz", "eve.json.10", "eve.json"},
		"indexed":    {"eve.2024-01-31.9.json", "eve.2024-01-31.10.json", "eve.2024-02-01.0.json", "eve.json"},
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
			sortEntries(entries, func(e *entry) int64 { return e.mtime.UnixNano() }, time.Time{})
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
