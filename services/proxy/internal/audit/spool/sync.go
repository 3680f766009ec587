package spool

import (
	"errors"
	"fmt"
	"os"
)

// Sync makes durable what has been appended so far, against the end of the
// machine too. It does not hold up Append, and is not to be called concurrently. After an
// error it has to be called again.
func (s *Spool) Sync() error {
	s.mu.Lock()
	sealed, active, newNames := s.sealed, s.active, s.newNames
	if !s.unsynced {
		active = nil
	}
	s.sealed, s.unsynced, s.newNames = nil, false, false
	s.mu.Unlock()

	var errs []error
	for _, f := range sealed {
		// Closed whatever happens: the kernel reports a failed sync once, and a
		// second try would find nothing wrong.
		errs = append(errs, f.Sync(), f.Close())
	}
	activeErr := error(nil)
	if active != nil {
		activeErr = active.Sync()
	}
	namesErr := error(nil)
	if newNames {
		namesErr = syncDir(s.dir)
	}
	err := errors.Join(append(errs, activeErr, namesErr)...)
	if err == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failures++
	s.unsynced = s.unsynced || activeErr != nil
	s.newNames = s.newNames || namesErr != nil
	return fmt.Errorf("syncing the spool: %w", err)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Tidy removes the newest segment if all of it is done with and nothing has been
// appended for a minute.
func (s *Spool) Tidy() {
	s.mu.Lock()
	var gone []*segment
	if s.now().Sub(s.latest) >= idle {
		gone = s.retire()
	}
	s.mu.Unlock()
	s.remove(gone)
}

// retire takes the newest segment out if all of it is done with. s.mu is held.
func (s *Spool) retire() []*segment {
	if s.active == nil || len(s.segments) != 1 || s.segments[0].done.offset < s.segments[0].size {
		return nil
	}
	s.seal()
	return s.drop(1)
}

// Close makes durable what waits and ends the spool; later calls of Append fail.
// The reader must have ended.
func (s *Spool) Close() error {
	s.mu.Lock()
	s.closed = true
	gone := s.retire()
	if s.active != nil {
		s.seal()
	}
	s.mu.Unlock()
	s.remove(gone)
	return s.Sync()
}
