package spool

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"
)

const subject = "ingest.audit.box1.proxy.llm-request.info"

// logged is a log to look at.
type logged struct{ bytes.Buffer }

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func options(dir string) Options {
	return Options{Dir: dir, Name: "audit", MaxBytes: 4 << 20, Log: slog.New(slog.DiscardHandler), Now: time.Now}
}

func open(t testing.TB, o Options) *Spool {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func record(id string) Record {
	return Record{Subject: subject, ID: id, Payload: []byte(`{"id":"` + id + `"}`)}
}

func add(t testing.TB, s *Spool, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if err := s.Append(record(id)); err != nil {
			t.Fatal(err)
		}
	}
}

// numbered returns the ids from "<from>" to "<to - 1>".
func numbered(from, to int) []string {
	var all []string
	for i := from; i < to; i++ {
		all = append(all, fmt.Sprint(i))
	}
	return all
}

func readFrom(t testing.TB, s *Spool, position string) (*Reader, bool) {
	t.Helper()
	r, found, err := s.ReadFrom(position)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r, found
}

// waiting reads all that waits, a few records at a time.
func waiting(t testing.TB, r *Reader) []Entry {
	t.Helper()
	done, cancel := context.WithCancel(t.Context())
	cancel()
	var all []Entry
	for {
		entries, err := r.Next(done, 7, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) == 0 {
			return all
		}
		all = append(all, entries...)
	}
}

func ids(entries []Entry) []string {
	var all []string
	for _, e := range entries {
		all = append(all, e.ID)
	}
	return all
}

func files(t testing.TB, dir string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*"+extension))
	if err != nil {
		t.Fatal(err)
	}
	return paths
}
