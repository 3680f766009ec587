package follow

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// stage is where a scenario plays: a writer, its rotation and a follower, with a
// clock of their own that file times follow.
type stage struct {
	t     testing.TB
	dir   string
	clock time.Time
	live  string // what is written
	cfg   Config
	f     *Follower
	mark  string // the checkpoint after the last line that was stored
	// history are the lines that were stored, and again those that are to come once
	// more after a restart at an older checkpoint.
	history, again []storedLine

	names   scheme
	rotated []string // paths, oldest first
	count   int      // rotations
	header  string   // a first line that all files have
	written []string
	stored  map[string]int
	order   []string
	gaps    []string
	ids     map[string]bool // of what was stored: generation and offset
	sameID  int
}

type storedLine struct{ id, text, mark string }

func newStage(t testing.TB, names scheme) *stage {
	s := &stage{
		t: t, dir: t.TempDir(), names: names, live: "eve.json",
		clock:  time.Date(2026, 1, 31, 3, 15, 51, 642e6, time.UTC),
		stored: make(map[string]int), ids: make(map[string]bool),
	}
	if names.live != "" {
		s.live = names.live
	}
	s.cfg = Config{
		Path: s.at(s.live), RotatedDir: names.olddir, PollOnly: true, Now: func() time.Time { return s.clock },
		MaxLine: 4 << 10, MaxBatchBytes: 16 << 10, // Thousands of followers are opened.
		Own: ofTheSensor,
	}
	if names.olddir != "" {
		s.check(os.MkdirAll(s.at(names.olddir), 0o700))
	}
	t.Cleanup(s.stop)
	return s
}

// ofTheSensor reports whether a line is one of the writer's, or the first of each of its
// files.
func ofTheSensor(line []byte) bool {
	var record struct {
		Type    string `json:"event_type"`
		Program string `json:"program"`
	}
	return json.Unmarshal(line, &record) == nil && (record.Type != "" || record.Program == "sensor")
}

func (s *stage) check(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) at(name string) string { return filepath.Join(s.dir, name) }

// up starts the follower at the last line that was stored.
func (s *stage) up() {
	s.t.Helper()
	var err error
	s.cfg.From, err = ParseCheckpoint(s.mark)
	s.check(err)
	s.f, err = Open(s.cfg)
	s.check(err)
}

func (s *stage) stop() {
	if s.f != nil {
		_ = s.f.Close()
		s.f = nil
	}
}

// write appends n lines to what is written, a second apart.
func (s *stage) write(n int) { s.writeTo(s.live, n) }

func (s *stage) writeTo(name string, n int) {
	s.t.Helper()
	for range n {
		s.clock = s.clock.Add(time.Second)
		if _, err := os.Stat(s.at(name)); err != nil && s.header != "" {
			s.line(name, s.header)
		}
		s.line(name, fmt.Sprintf(`{"timestamp":"%s","event_type":"alert","n":%d}`,
			s.clock.Format("2006-01-02T15:04:05.000000-0700"), len(s.written)))
	}
}

// line appends a line that is to be stored.
func (s *stage) line(name, text string) {
	s.t.Helper()
	s.written = append(s.written, text)
	s.append(name, text+"\n")
}

func (s *stage) append(name, text string) {
	s.t.Helper()
	file, err := os.OpenFile(s.at(name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	s.check(err)
	_, err = file.WriteString(text)
	s.check(err)
	s.check(file.Close())
	s.touch(name, s.clock)
}

func (s *stage) touch(name string, at time.Time) {
	s.t.Helper()
	s.check(os.Chtimes(s.at(name), at, at))
}

// rotate moves what is written away, as the scheme of names has it.
func (s *stage) rotate() {
	s.t.Helper()
	s.clock = s.clock.Add(50 * time.Millisecond)
	s.count++
	s.names.rotate(s)
	s.clock = s.clock.Add(50 * time.Millisecond)
}

func (s *stage) rename(from, to string) {
	s.t.Helper()
	s.check(os.MkdirAll(filepath.Dir(s.at(to)), 0o700))
	s.check(os.Rename(s.at(from), s.at(to)))
}

// compress replaces a file by a compressed one, with its modification time.
func (s *stage) compress(name, ext string) string {
	s.t.Helper()
	info, err := os.Stat(s.at(name))
	s.check(err)
	data, err := os.ReadFile(s.at(name))
	s.check(err)
	out, err := os.Create(s.at(name + ext))
	s.check(err)
	var w io.WriteCloser
	switch ext {
	case ".gz":
		w = gzip.NewWriter(out)
	case ".zst":
		w, err = zstd.NewWriter(out)
	case ".xz":
		w, err = xz.NewWriter(out)
	case ".bz2":
		_, err = out.Write(bzip2Of(data))
		s.check(err)
		data = nil
	default:
		_, err = fmt.Fprintf(out, "\x04\x22\x4d\x18%x", sha256.Sum256(data))
		s.check(err)
		w = out
		data = nil
	}
	s.check(err)
	if len(data) > 0 {
		_, err = w.Write(data)
		s.check(err)
		s.check(w.Close())
	}
	_ = out.Close()
	s.touch(name+ext, info.ModTime())
	s.check(os.Remove(s.at(name)))
	return name + ext
}

// step stores what one step of the follower returns.
func (s *stage) step(limit int) {
	s.t.Helper()
	s.f.step(limit)
	b := &s.f.batch
	for i := range b.Lines {
		s.store(&b.Lines[i], string(b.AppendCheckpoint(nil, i)))
	}
}

// read stores all that can be had now and a poll interval later.
func (s *stage) read() { s.readUntil(-1) }

// readUntil stores lines until n are, or, if n is negative, all.
func (s *stage) readUntil(n int) {
	s.t.Helper()
	steps := 0
	for idle := 0; idle < 2; steps++ {
		again := s.f.step(7)
		b := &s.f.batch
		for i := range b.Lines {
			if n == 0 {
				return // killed before the rest of the batch was stored
			}
			n--
			s.store(&b.Lines[i], string(b.AppendCheckpoint(nil, i)))
		}
		if len(b.Lines) == 0 && !again {
			idle++
			s.clock = s.clock.Add(s.f.cfg.PollInterval)
		}
		if steps > 100_000 {
			s.t.Fatal("it never ends")
		}
	}
}

func (s *stage) store(l *Line, mark string) {
	s.mark = mark
	line := storedLine{fmt.Sprint(l.Generation, " ", l.Start), string(l.Text), mark}
	if len(s.again) > 0 {
		if want := s.again[0]; line.id != want.id || line.text != want.text {
			s.t.Errorf("the second time %s %q, the first %s %q", line.id, line.text, want.id, want.text)
		}
		s.again = s.again[1:]
		return
	}
	s.history = append(s.history, line)
	if l.Kind == Gap {
		s.gaps = append(s.gaps, l.Reason)
		return
	}
	text := string(l.Text)
	if l.Kind == Unterminated && !slices.Contains(s.written, text) {
		return // what is left of a line that was cut off
	}
	s.stored[text]++
	s.order = append(s.order, text)
	if s.ids[line.id] {
		s.sameID++
	}
	s.ids[line.id] = true
}

// kill ends the follower and starts it again.
func (s *stage) kill() {
	s.t.Helper()
	s.stop()
	s.up()
}

// rewind starts the follower at the checkpoint before the last n lines that were
// stored, as a publisher does that cannot know whether they were. They come again
// in the same order and with the same names.
func (s *stage) rewind(n int) {
	s.t.Helper()
	if at := len(s.history) - n - 1; len(s.again) == 0 && at >= 0 {
		s.mark, s.again = s.history[at].mark, s.history[at+1:]
	}
	s.kill()
}

// settle lets all grace periods pass and stores what is left.
func (s *stage) settle() {
	s.t.Helper()
	for range 3 {
		s.read()
		s.clock = s.clock.Add(2 * defaultGrace)
	}
	s.read()
}

// result is what became of the lines.
type result struct{ written, lost, doubled, gaps, misplaced, sameID int }

func (s *stage) result() result {
	r := result{written: len(s.written), gaps: len(s.gaps), sameID: s.sameID}
	want := make(map[string]int)
	for _, text := range s.written {
		want[text]++
	}
	for text, n := range want {
		r.lost += max(0, n-s.stored[text])
		r.doubled += max(0, s.stored[text]-n)
	}
	for text, n := range s.stored {
		if want[text] == 0 {
			r.doubled += n // of another log
		}
	}
	at := make(map[string]int)
	for i, text := range s.written {
		at[text] = i
	}
	last := 0
	for _, text := range s.order {
		if want[text] > 1 {
			continue // the same in several files
		}
		if at[text] < last {
			r.misplaced++
		}
		last = max(last, at[text])
	}
	return r
}

// scheme is how rotation names files.
type scheme struct {
	name   string
	live   string // what is written, if not eve.json
	olddir string
	unread bool // nothing here reads the files
	// unrelated says that rotated names do not have the log's in them.
	unrelated bool
	rotate    func(*stage)
}

// shifting renames "eve.json.1" to "eve.json.2" and so on; name makes a name of a
// number.
func shifting(ext string, name func(int) string) func(*stage) {
	return func(s *stage) {
		for i, old := range s.rotated {
			to := name(len(s.rotated)-i+1) + ext
			s.rename(old, to)
			s.rotated[i] = to
		}
		s.rename(s.live, name(1))
		s.rotated = append(s.rotated, finish(s, name(1), ext))
	}
}

// once gives each file a name that it keeps.
func once(ext string, name func(*stage) string) func(*stage) {
	return func(s *stage) {
		to := name(s)
		s.rename(s.live, to)
		s.rotated = append(s.rotated, finish(s, to, ext))
	}
}

func finish(s *stage, name, ext string) string {
	if ext == "" {
		return name
	}
	return s.compress(name, ext)
}

// keep deletes all but the newest n rotated files.
func (s *stage) keep(n int) {
	s.t.Helper()
	for len(s.rotated) > n {
		s.check(os.Remove(s.at(s.rotated[0])))
		s.rotated = s.rotated[1:]
	}
}

// missing returns lines that were not stored as often as they were written.
func (s *stage) missing() []string {
	var missing []string
	n := make(map[string]int)
	for _, text := range s.written {
		if n[text]++; n[text] > s.stored[text] {
			missing = append(missing, text)
		}
	}
	return missing
}
