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

	"github.com/google/renameio/v2"
)

// hintInterval is how often the note is written while lines are shipped. It need
// not be recent: it is used only after everything published since has outlived
// the stream's MaxAge, an hour at least.
const hintInterval = 30 * time.Second

// hint is a note of where the source stands, in a file. The streams are the
// checkpoint; the note serves only when retention has removed the newest messages of
// the source, and only for the very stream of events that it was written for.
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
	Round      uint64    `json:"round,omitempty"` // after which the source stands there
}

// recall returns what was noted for the stream created at the given time, or for the
// one before it. No
// note, or one that cannot be read, is nothing to stop for: the file is then
// read from the beginning, which doubles events rather than losing them.
func (h *hint) recall(stream, before time.Time) note {
	h.current.Stream = stream
	if h.path == "" {
		return note{}
	}
	text, err := os.ReadFile(h.path)
	if errors.Is(err, fs.ErrNotExist) {
		return note{}
	}
	var n note
	if err == nil {
		err = json.Unmarshal(text, &n)
	}
	if err != nil {
		h.log.Warn("checkpoint hint cannot be read", "err", err, "path", h.path)
		return note{}
	}
	if !n.Stream.Equal(stream) && !n.Stream.Equal(before) {
		h.log.Info("checkpoint hint ignored: it is for another stream", "path", h.path)
		return note{}
	}
	return n
}

// stored notes that everything up to checkpoint, the end of a round, is stored, once
// in a while.
func (h *hint) stored(checkpoint string, round uint64) {
	h.current.Checkpoint, h.current.StoredAt, h.current.Round = checkpoint, h.now(), round
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
		h.log.Warn("checkpoint hint cannot be written", "err", err)
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
	return renameio.WriteFile(h.path, append(text, '\n'), 0o600, renameio.WithTempDir(filepath.Dir(h.path)))
}
