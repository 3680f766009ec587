package spool

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestRecordsComeBackAsTheyWere(t *testing.T) {
	at := time.UnixMilli(1764000000123)
	o := defaults(t.TempDir())
	o.Now = func() time.Time { return at }
	s := opened(t, o)
	want := record{Subject: subject, ID: "a1", Payload: []byte(`{"text":"with spaces, é and \u0000"}`)}
	if err := s.Append(want); err != nil {
		t.Fatal(err)
	}
	r, found := readFrom(t, s, "")
	got := waiting(t, r)
	if found || len(got) != 1 {
		t.Fatalf("found %v, %d records", found, len(got))
	}
	if e := got[0]; e.Subject != want.Subject || e.ID != want.ID || !bytes.Equal(e.Payload, want.Payload) || !e.Time.Equal(at) {
		t.Errorf("got %+v", e)
	}
}

func TestRefusesWhatIsNoLine(t *testing.T) {
	for name, r := range map[string]record{
		"no subject":                 {ID: "1"},
		"a space in the subject":     {Subject: "a b", ID: "1"},
		"a newline in the id":        {Subject: subject, ID: "1\n"},
		"no id":                      {Subject: subject},
		"an id beyond its bound":     {Subject: subject, ID: strings.Repeat("1", maxID+1)},
		"a newline in the payload":   {Subject: subject, ID: "1", Payload: []byte("{\n}")},
		"a payload beyond its bound": {Subject: subject, ID: "1", Payload: make([]byte, MaxRecord+1)},
	} {
		t.Run(name, func(t *testing.T) {
			s := opened(t, defaults(t.TempDir()))
			if err := s.Append(r); !errors.Is(err, ErrInvalid) {
				t.Errorf("error %v", err)
			}
			if st := s.Stats(); st.Waiting != 0 || st.Bytes != 0 {
				t.Errorf("%+v", st)
			}
		})
	}
}

func TestTheLargestRecordPasses(t *testing.T) {
	s := opened(t, defaults(t.TempDir()))
	payload := bytes.Repeat([]byte{'x'}, MaxRecord)
	want := record{Subject: strings.Repeat("s", maxSubject), ID: strings.Repeat("i", maxID), Payload: payload}
	for range 2 {
		if err := s.Append(want); err != nil {
			t.Fatal(err)
		}
	}
	r, _ := readFrom(t, s, "")
	if got := waiting(t, r); len(got) != 2 || !bytes.Equal(got[1].Payload, payload) {
		t.Errorf("%d records", len(got))
	}
}

// TestGoesOnWhereItStood ends a spool at each of its records in turn, with and
// without the processes' help, and reads on from there.
func TestGoesOnWhereItStood(t *testing.T) {
	const n = 60
	for name, end := range map[string]func(*testing.T, *queue){
		"closed": func(t *testing.T, s *queue) {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		},
		"killed": func(*testing.T, *queue) {},
	} {
		t.Run(name, func(t *testing.T) {
			for stop := range n + 1 {
				o := defaults(t.TempDir())
				o.MaxBytes = 16 << 10 // segments of 1 KiB
				s := opened(t, o)
				put(t, s, numbered(0, n)...)
				r, _ := readFrom(t, s, "")
				all := waiting(t, r)
				position := ""
				if stop > 0 {
					position = all[stop-1].End.String()
					s.Done(all[stop-1].End)
				}
				if st := s.Stats(); st.Waiting != int64(n-stop) {
					t.Fatalf("after %d: %+v", stop, st)
				}
				end(t, s)

				s = opened(t, o)
				put(t, s, "more")
				r, _ = readFrom(t, s, position)
				got := ids(waiting(t, r))
				if want := append(numbered(stop, n), "more"); !slices.Equal(got, want) {
					t.Fatalf("after %d: %v, want %v", stop, got, want)
				}
				if st := s.Stats(); st.Waiting != int64(n-stop+1) {
					t.Fatalf("after %d and a restart: %+v", stop, st)
				}
			}
		})
	}
}

func TestAPositionOfAnotherSpoolIsNone(t *testing.T) {
	other := opened(t, defaults(t.TempDir()))
	put(t, other, numbered(0, 20)...)
	r, _ := readFrom(t, other, "")
	foreign := waiting(t, r)[10].End.String()

	for name, position := range map[string]string{
		"another spool":     foreign,
		"none":              "",
		"no offset":         strings.TrimRight(foreign, "0123456789"),
		"a negative offset": strings.ReplaceAll(foreign, ":", ":-"),
		"garbage":           "::\x00",
	} {
		t.Run(name, func(t *testing.T) {
			o := defaults(t.TempDir())
			s := opened(t, o)
			put(t, s, numbered(0, 5)...)
			r, found := readFrom(t, s, position)
			first := waiting(t, r)
			if found || len(first) != 5 {
				t.Fatalf("found %v, %d records", found, len(first))
			}
			// In the same process it is known what has been done since.
			s.Done(first[2].End)
			r, found = readFrom(t, s, position)
			if got := ids(waiting(t, r)); found || !slices.Equal(got, numbered(3, 5)) {
				t.Errorf("found %v, %v", found, got)
			}
		})
	}
}

// TestAPositionWithinALine cannot come from this package; no record is lost to it.
func TestAPositionWithinALine(t *testing.T) {
	s := opened(t, defaults(t.TempDir()))
	put(t, s, numbered(0, 3)...)
	r, _ := readFrom(t, s, "")
	end := waiting(t, r)[1].End
	end.mark.offset--
	r, found := readFrom(t, s, end.String())
	if got := ids(waiting(t, r)); !found || !slices.Equal(got, numbered(1, 3)) || s.Stats().Damaged != 0 {
		t.Errorf("found %v, %v, %+v", found, got, s.Stats())
	}
}

// TestGoesBack reads from a position before what is done: a server that has lost
// the tail of its stream gets it again, as far as it is still here.
func TestGoesBack(t *testing.T) {
	s := opened(t, defaults(t.TempDir()))
	put(t, s, numbered(0, 10)...)
	r, _ := readFrom(t, s, "")
	all := waiting(t, r)
	s.Done(all[9].End)
	r, _ = readFrom(t, s, all[4].End.String())
	if got := ids(waiting(t, r)); !slices.Equal(got, numbered(5, 10)) || s.Stats().Waiting != 5 {
		t.Errorf("%v, %+v", got, s.Stats())
	}
}

func TestRemovesWhatIsDone(t *testing.T) {
	dir := t.TempDir()
	o := defaults(dir)
	o.MaxBytes = 16 << 10
	s := opened(t, o)
	put(t, s, numbered(0, 100)...)
	before := len(files(t, dir))
	r, _ := readFrom(t, s, "")
	all := waiting(t, r)
	s.Done(all[99].End)
	if before < 5 || len(files(t, dir)) != 1 {
		t.Errorf("%d segments, then %d", before, len(files(t, dir)))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if left := files(t, dir); len(left) != 0 {
		t.Errorf("left after Close: %v", left)
	}
}

func TestTidyRemovesAnIdleSegment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s := opened(t, defaults(dir))
		put(t, s, "1", "2")
		r, _ := readFrom(t, s, "")
		all := waiting(t, r)
		look := func() int { s.Tidy(); return len(files(t, dir)) }

		time.Sleep(idle)
		if n := look(); n != 1 {
			t.Errorf("%d segments with records in them that wait", n)
		}
		s.Done(all[1].End)
		put(t, s, "3")
		s.Done(waiting(t, r)[0].End)
		if n := look(); n != 1 {
			t.Errorf("%d segments right after an append", n)
		}
		time.Sleep(idle)
		if n := look(); n != 0 || s.Stats().Bytes != 0 {
			t.Errorf("%d segments, %+v", n, s.Stats())
		}
		put(t, s, "4")
		if got := ids(waiting(t, r)); !slices.Equal(got, []string{"4"}) {
			t.Errorf("then %v", got)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestNextWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := opened(t, defaults(t.TempDir()))
		r, _ := readFrom(t, s, "")
		got := make(chan []entry)
		go func() {
			entries, err := r.Next(t.Context(), 10, 1<<20)
			if err != nil {
				t.Error(err)
			}
			got <- entries
		}()
		synctest.Wait()
		select {
		case entries := <-got:
			t.Fatalf("returned %v", ids(entries))
		default:
		}
		put(t, s, "1")
		if entries := <-got; !slices.Equal(ids(entries), []string{"1"}) {
			t.Errorf("returned %v", ids(entries))
		}
	})
}

func TestNextIsBounded(t *testing.T) {
	s := opened(t, defaults(t.TempDir()))
	put(t, s, numbered(0, 10)...)
	r, _ := readFrom(t, s, "")
	size := int64(len(sample("0").Payload))
	for _, test := range []struct {
		records int
		bytes   int64
		want    []string
	}{
		{records: 3, bytes: 1 << 20, want: numbered(0, 3)},
		{records: 100, bytes: 2 * size, want: numbered(3, 5)},
		{records: 100, bytes: 1, want: numbered(5, 6)},
		{records: 100, bytes: 1 << 20, want: numbered(6, 10)},
	} {
		got, err := r.Next(t.Context(), test.records, test.bytes)
		if err != nil || !slices.Equal(ids(got), test.want) {
			t.Errorf("%v %v, want %v", ids(got), err, test.want)
		}
	}
}

func TestAppendAfterClose(t *testing.T) {
	s := opened(t, defaults(t.TempDir()))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Append(sample("1")); !errors.Is(err, errClosed) {
		t.Errorf("error %v", err)
	}
}

func TestOldestWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := defaults(t.TempDir())
		s := opened(t, o)
		age := func(s *queue, want time.Duration) {
			t.Helper()
			if got := s.Stats().Oldest; got != want {
				t.Errorf("%s, want %s", got, want)
			}
		}
		age(s, 0)
		put(t, s, "1")
		time.Sleep(time.Second)
		put(t, s, "2", "3")
		time.Sleep(time.Second)
		age(s, 2*time.Second)
		age(opened(t, o), 2*time.Second)

		r, _ := readFrom(t, s, "")
		all, err := r.Next(t.Context(), 1, 1)
		if err != nil {
			t.Fatal(err)
		}
		s.Done(all[0].End)
		all = waiting(t, r)
		age(s, time.Second)
		s.Done(all[1].End)
		age(s, 0)
	})
}

// TestAppendWhileReading has several appenders and a reader at work at the same
// time: each appender's records must arrive in its order, once.
func TestAppendWhileReading(t *testing.T) {
	const appenders, each = 4, 500
	o := defaults(t.TempDir())
	o.MaxBytes = 256 << 10
	s := opened(t, o)
	r, _ := readFrom(t, s, "")
	var writers sync.WaitGroup
	for a := range appenders {
		writers.Go(func() {
			for i := range each {
				if err := s.Append(sample(fmt.Sprintf("%d-%d", a, i))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	next := make([]int, appenders)
	for read := 0; read < appenders*each; {
		entries, err := r.Next(t.Context(), 50, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			var a, i int
			if _, err := fmt.Sscanf(e.ID, "%d-%d", &a, &i); err != nil || next[a] != i {
				t.Fatalf("record %s, where %d of %d is due (%v)", e.ID, next[a], a, err)
			}
			next[a]++
			read++
		}
		s.Done(entries[len(entries)-1].End)
	}
	writers.Wait()
	if st := s.Stats(); st.Waiting != 0 {
		t.Errorf("%+v", st)
	}
}
