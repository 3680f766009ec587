package telegramtest

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// maxRepeat bounds xN in a script.
const maxRepeat = 100_000

// fault is what happens to one request.
type fault struct {
	name     string
	replaces *answer       // is answered
	html     int           // a page of this status is answered
	accepts  bool          // the request is carried out all the same
	drops    bool          // the connection is broken off without an answer
	hangs    bool          // no answer comes
	torn     bool          // half an answer comes
	change   func(*Server) // is done before the request is looked at
}

// before reports whether the request is not even read.
func (f fault) before() bool { return (f.drops || f.hangs) && !f.accepts }

// answers reports whether something else is answered than what is true.
func (f fault) answers() bool { return f.replaces != nil || f.html != 0 }

// Script adds the faults of a script to those that are still to come. The error
// names the line that is wrong; nothing is added then.
func (s *Server) Script(script string) error {
	var faults, now []fault
	n := 0
	for text := range strings.Lines(script) {
		n++
		words := strings.Fields(text)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		times := 1
		if last := words[len(words)-1]; len(words) > 1 && len(last) > 1 && last[0] == 'x' {
			if count, err := strconv.Atoi(last[1:]); err == nil && count > 0 && count <= maxRepeat {
				times, words = count, words[:len(words)-1]
			}
		}
		at := &faults
		if words[0] == "now" {
			at, words = &now, words[1:]
		}
		f, err := parseFault(words)
		if err == nil && at == &now && f.change == nil {
			err = errors.New("only what changes how things are can be done now")
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		for range times {
			*at = append(*at, f)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range now {
		f.change(s)
	}
	s.faults = append(s.faults, faults...)
	return nil
}

// Pending is how many faults have not met a request yet.
func (s *Server) Pending() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.faults)
}

// nextFault takes the fault for the next request that sends.
func (s *Server) nextFault() fault {
	if len(s.faults) == 0 {
		return fault{}
	}
	f := s.faults[0]
	s.faults = s.faults[1:]
	if f.change != nil {
		f.change(s)
	}
	return f
}

func parseFault(words []string) (fault, error) {
	if len(words) == 0 {
		return fault{}, errors.New("nothing to do")
	}
	f := fault{name: strings.Join(words, " ")}
	word, args := words[0], words[1:]
	switch word {
	case "ok":
	case "drop":
		f.drops = true
	case "hang":
		f.hangs = true
	case "lost":
		f.accepts, f.drops = true, true
	case "stuck":
		f.accepts, f.hangs = true, true
	case "torn":
		f.accepts, f.torn = true, true
	default:
		return parseWithArguments(f, word, args)
	}
	if len(args) > 0 {
		return f, fmt.Errorf("%s takes no argument", word)
	}
	return f, nil
}

func parseWithArguments(f fault, word string, args []string) (fault, error) {
	var err error
	switch word {
	case "429":
		var wait int
		if wait, err = number(args, 0, 86_400); err == nil {
			f.replaces = tooMany(time.Duration(wait) * time.Second)
		}
	case "html", "late-html":
		f.html, err = number(args, 200, 599)
		f.accepts = word == "late-html"
	case "error":
		var status int
		if status, err = number(args, 400, 599); err == nil {
			f.replaces = failure(status, strings.Join(args[1:], " "))
		}
	case "late":
		var status int
		if status, err = number(args, 400, 599); err == nil {
			f.replaces, f.accepts = worded(status), true
		}
	default:
		if status, notNumber := number([]string{word}, 400, 599); notNumber == nil {
			f.replaces = worded(status)
			return f, nil
		}
		f.change, err = parseChange(word, args)
	}
	if err != nil {
		return f, fmt.Errorf("%s: %w", word, err)
	}
	return f, nil
}

// parseChange reads a line that changes how things are.
func parseChange(word string, args []string) (func(*Server), error) {
	var ids []int64
	for _, a := range args {
		id, err := strconv.ParseInt(a, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%q is not an id", a)
		}
		ids = append(ids, id)
	}
	wants := map[string]int{"migrate": 2, "block": 1, "unblock": 1, "mute": 1, "unmute": 1, "close": 2, "delete": 2, "revoke": 0, "restore": 0}
	n, known := wants[word]
	switch {
	case !known:
		return nil, errors.New("not a fault that this server knows")
	case len(ids) != n:
		return nil, fmt.Errorf("takes %d ids", n)
	}
	switch word {
	case "revoke", "restore":
		return func(s *Server) { s.revoked = word == "revoke" }, nil
	case "migrate":
		return func(s *Server) { s.migrate(ids[0], ids[1]) }, nil
	}
	return func(s *Server) {
		c := s.chats[ids[0]]
		if c == nil {
			return // as a request to it will tell
		}
		switch word {
		case "block", "unblock":
			c.blocked = word == "block"
		case "mute", "unmute":
			c.muted = word == "mute"
		case "close":
			c.topics[ids[1]] = false
		case "delete":
			delete(c.topics, ids[1])
		}
	}, nil
}

func (s *Server) migrate(from, to int64) {
	c := s.chats[from]
	if c == nil {
		return
	}
	moved := newChat(c.Chat)
	moved.ID, moved.Type = to, "supergroup"
	s.chats[to] = moved
	c.movedTo = to
}

// number reads the first argument.
func number(args []string, lowest, highest int) (int, error) {
	if len(args) == 0 {
		return 0, fmt.Errorf("needs a number from %d to %d", lowest, highest)
	}
	n, err := strconv.Atoi(args[0])
	if err != nil || n < lowest || n > highest {
		return 0, fmt.Errorf("%q is not a number from %d to %d", args[0], lowest, highest)
	}
	return n, nil
}
