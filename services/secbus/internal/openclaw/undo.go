package openclaw

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/renameio/v2"
)

// Names of the files in an undo directory. It has to be where OpenClaw cannot read:
// the former keys are in it.
const (
	originalFile = "openclaw.json.before"
	recordFile   = "openclaw.json.changes"
)

// record is what is remembered of a file that was changed.
type record struct {
	Missing bool     `json:"missing,omitempty"` // there was no file
	Written string   `json:"written"`           // SHA-256 of what was written last
	Changes []Change `json:"changes"`
}

// Outcome is what became of a file.
type Outcome struct {
	Changed bool
	Notes   []string // for the owner to decide
}

// Apply configures the file, and remembers in the undo directory what it was. Done
// again it changes nothing.
func Apply(file, undo string, o Options) (Outcome, error) {
	before, mode, err := load(file)
	missing := errors.Is(err, fs.ErrNotExist)
	if err != nil && !missing {
		return Outcome{}, err
	}
	d, err := Parse(before)
	if err != nil {
		return Outcome{}, fmt.Errorf("%s was not changed: %w", filepath.Base(file), err)
	}
	notes, err := Configure(d, o)
	if err != nil {
		return Outcome{}, fmt.Errorf("%s was not changed: %w", filepath.Base(file), err)
	}
	after := d.Bytes()
	if len(d.changes) == 0 {
		return Outcome{Notes: notes}, nil
	}
	r, known, err := readRecord(undo)
	if err != nil {
		return Outcome{}, err
	}
	if !known {
		r.Missing = missing
		if err := write(filepath.Join(undo, originalFile), before, 0o600); err != nil {
			return Outcome{}, fmt.Errorf("keeping a backup: %w", err)
		}
	}
	for _, c := range d.changes {
		r.Changes = slices.DeleteFunc(r.Changes, func(old Change) bool { return slices.Equal(old.Path, c.Path) })
		r.Changes = append(r.Changes, c)
	}
	r.Written = sum(after)
	if err := r.write(undo); err != nil {
		return Outcome{}, err
	}
	if err := write(file, after, mode); err != nil {
		return Outcome{}, fmt.Errorf("writing %s: %w", filepath.Base(file), err)
	}
	return Outcome{Changed: true, Notes: notes}, nil
}

// Restore takes back what Apply did. A file that nobody has changed since is what it
// was, byte for byte; of another one the settings that are still ours are taken back.
// The notes name the others.
func Restore(file, undo string) (Outcome, error) {
	r, known, err := readRecord(undo)
	if err != nil || !known {
		return Outcome{}, err
	}
	original, err := os.ReadFile(filepath.Join(undo, originalFile))
	if err != nil {
		return Outcome{}, fmt.Errorf("reading the backup: %w", err)
	}
	now, mode, err := load(file)
	if errors.Is(err, fs.ErrNotExist) {
		return Outcome{Notes: []string{filepath.Base(file) + " is not there any more; the backup is " + filepath.Join(undo, originalFile)}}, nil
	}
	if err != nil {
		return Outcome{}, err
	}
	var outcome Outcome
	switch {
	case sum(now) == r.Written && r.Missing:
		err = os.Remove(file)
		outcome.Changed = true
	case sum(now) == r.Written:
		err = write(file, original, mode)
		outcome.Changed = true
	case !bytes.Equal(now, original):
		outcome, err = r.takeBack(file, now, original, mode)
	}
	if err != nil {
		return Outcome{}, fmt.Errorf("restoring %s: %w", filepath.Base(file), err)
	}
	return outcome, errors.Join(os.Remove(filepath.Join(undo, recordFile)), os.Remove(filepath.Join(undo, originalFile)))
}

// takeBack gives each setting that is still as it was written the value that it had.
func (r record) takeBack(file string, now, original []byte, mode fs.FileMode) (Outcome, error) {
	d, err := Parse(now)
	if err != nil {
		return Outcome{}, err
	}
	was, err := Parse(original)
	if err != nil {
		return Outcome{}, err
	}
	var outcome Outcome
	for _, c := range slices.Backward(r.Changes) {
		value, there := d.Get(c.Path...)
		switch {
		case !there:
		case !sameJSON(value, c.Value):
			outcome.Notes = append(outcome.Notes, strings.Join(c.Path, ".")+" was changed since, and stays as it is")
		default:
			outcome.Changed = true
			if err := d.revert(was, c.Path); err != nil {
				return Outcome{}, err
			}
		}
	}
	return outcome, write(file, d.Bytes(), mode)
}

// revert gives the value at a path, or the innermost object around it that was not
// there, back what was there.
func (d *Document) revert(was *Document, path []string) error {
	if v := was.find(path...); v != nil {
		d.find(path...).Value = v.Clone().Value
		return nil
	}
	d.Remove(path...)
	for n := len(path) - 1; n > 0; n-- {
		value, _ := d.Get(path[:n]...)
		if object, ok := value.(map[string]any); !ok || len(object) > 0 || was.find(path[:n]...) != nil {
			break
		}
		d.Remove(path[:n]...)
	}
	return nil
}

// load reads a file that may be replaced.
func load(file string) ([]byte, fs.FileMode, error) {
	info, err := os.Lstat(file)
	if err != nil {
		return nil, 0o600, err
	}
	if !info.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("%s is a link or no regular file, and was not changed: name the file itself", filepath.Base(file))
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, 0, fmt.Errorf("reading OpenClaw's configuration: %w", err)
	}
	return text, info.Mode().Perm(), nil
}

// write puts text into file, whole or not at all.
func write(file string, text []byte, mode fs.FileMode) error {
	return renameio.WriteFile(file, text, mode, renameio.WithTempDir(filepath.Dir(file)), renameio.IgnoreUmask())
}

func readRecord(undo string) (r record, known bool, err error) {
	text, err := os.ReadFile(filepath.Join(undo, recordFile))
	if errors.Is(err, fs.ErrNotExist) {
		return r, false, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil {
		return r, false, fmt.Errorf("reading what was changed: %w", err)
	}
	return r, true, nil
}

func (r record) write(undo string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err == nil {
		err = write(filepath.Join(undo, recordFile), text, 0o600)
	}
	if err != nil {
		return fmt.Errorf("remembering what was changed: %w", err)
	}
	return nil
}

func sum(text []byte) string {
	hash := sha256.Sum256(text)
	return hex.EncodeToString(hash[:])
}
