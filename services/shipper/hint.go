package shipper

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"
)

// hintInterval is how often the note is written while lines are shipped. It need
// not be recent: it is used only after everything published since has outlived
// the stream's MaxAge, an hour at least.
const hintInterval = 30 * time.Second

// hint is a note of where the source stands, in a file. The stream is the
// checkpoint; the note serves only when the stream no longer holds a message of
// the source, and only for the very stream it was written for.
type hint struct {
	path    string // empty for none
	log     *slog.Logger
	now     func() time.Time
	current note
	saved   time.Time
}

type note struct {
	Stream     time.Time `json:"stream_created"`
	Checkpoint string    `json:"checkpoint"`
	StoredAt   time.Time `json:"stored_at"`
}

// recall returns what was noted for the stream created at the given time. No
// note, or one that cannot be read, is nothing to stop for: the file is then
// read from the beginning, which doubles events rather than losing them.
func (h *hint) recall(stream time.Time) (checkpoint string, storedAt time.Time) {
	h.current.Stream = stream
	if h.path == "" {
		return "", time.Time{}
	}
	text, err := os.ReadFile(h.path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", time.Time{}
	}
	var n note
	if err == nil {
		err = json.Unmarshal(text, &n)
	}
	if err != nil {
		h.log.Warn("the note of where this source stands cannot be read", "err", err, "path", h.path)
		return "", time.Time{}
	}
	if !n.Stream.Equal(stream) {
		h.log.Info("the note of where this source stands is for another stream", "path", h.path)
		return "", time.Time{}
	}
	return n.Checkpoint, n.StoredAt
}

// stored notes that everything up to checkpoint is stored, once in a while.
func (h *hint) stored(checkpoint string) {
	h.current.Checkpoint, h.current.StoredAt = checkpoint, h.now()
	if h.path != "" && h.current.StoredAt.Sub(h.saved) >= hintInterval {
		h.save()
	}
}

// save writes the note, whole or not at all. A failure is logged: shipping does
// not depend on it.
func (h *hint) save() {
	if h.path == "" || h.current.Checkpoint == "" {
		return
	}
	h.saved = h.now()
	if err := h.write(); err != nil {
		h.log.Warn("the note of where this source stands cannot be written", "err", err)
	}
}

func (h *hint) write() error {
	text, err := json.Marshal(h.current)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(h.path), 0o700); err != nil {
		return fmt.Errorf("creating its directory: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(h.path), ".hint-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(append(text, '\n'))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), h.path)
}
