package follow

import (
	"errors"
	"time"
)

// sighting is what is known of a file in the directory that is not being read.
type sighting struct {
	// length and written are the size and modification time that it is about.
	length  int64
	written time.Time
	fingerprint
	// done says that nothing is to be read from the file as it is now.
	done bool
	// format is how it is compressed, and unreadable why it cannot be read; "" if it
	// can.
	format     format
	unreadable string
	// ended is the time that the last line states, and own whether the lines are records
	// of the log's writer, once it was asked for.
	ended *time.Time
	own   *bool
	// of is the generation that the file is the rest or a copy of.
	of *generation
}

func (s *sighting) matches(e *entry) bool {
	return s != nil && s.length == e.size && s.written.Equal(e.mtime)
}

// sight returns what is known of e, looking into the file if it has changed.
func (f *Follower) sight(e *entry) (*sighting, error) {
	if s := f.looked[e.key]; s != nil {
		e.format = s.format
		return s, nil
	}
	s := f.sightings[e.key]
	if !s.matches(e) {
		var err error
		if s, err = f.look(e); err != nil {
			return nil, err
		}
	}
	e.format = s.format
	f.looked[e.key] = s
	return s, nil
}

// look looks into e.
func (f *Follower) look(e *entry) (*sighting, error) {
	s := &sighting{length: e.size, written: e.mtime, format: e.format}
	src, err := e.open()
	if err != nil {
		return nil, err
	}
	defer src.close()
	if e.size == 0 {
		s.done = !e.live
		return s, nil
	}
	s.format = e.format
	s.fingerprint, err = identify(src, f.head)
	if err != nil {
		return nil, err
	}
	if s.format == foreign {
		s.unreadable = "it is compressed or encrypted in a way that is not read here"
	} else if !s.complete && src.short != "" {
		s.unreadable = src.short
	}
	if s.unreadable == "" {
		return s, nil
	}
	if s.format != foreign && !f.leftAlone(e.mtime) {
		// It is still being written.
		return nil, errors.New(s.unreadable)
	}
	e.format, s.format = foreign, foreign
	s.fingerprint, err = identifyRaw(src.file, e.size, f.head)
	return s, err
}
