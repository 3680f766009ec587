package follow

import (
	"slices"
	"strings"
	"time"
)

// schemeOf returns the scheme whose name begins so.
func schemeOf(name string) scheme {
	all := schemes()
	return all[slices.IndexFunc(all, func(s scheme) bool { return strings.HasPrefix(s.name, name) })]
}

// stranger is another program that writes a log beside ours.
type stranger struct {
	kind, layout string // of a line, with its time
	backwards    bool   // its times go down
}

var programs = []stranger{
	{kind: "text", layout: `2006-01-02T15:04:05Z INFO started {"event_type":"start"} at once`},
	{kind: "JSON of another form", layout: `{"timestamp":"2006-01-02T15:04:05.000000-0700","level":"info","msg":"started"}`},
	{kind: "our JSON in its messages", layout: `{"time":"2006-01-02T15:04:05Z","message":"{\"event_type\":\"alert\"}"}`},
	{kind: "our JSON, backwards in time", layout: `{"timestamp":"2006-01-02T15:04:05.000000-0700","event_type":"alert","of":"another"}`, backwards: true},
}

// begin has the program write a log, all of it between two lines of ours.
func (p stranger) begin(s *stage, name string) {
	const lines, pause = 5, 3 * time.Second
	s.clock = s.clock.Add(10 * time.Second)
	for i := range lines {
		at := s.clock.Add(time.Duration(i) * pause)
		if p.backwards {
			at = s.clock.Add(time.Duration(lines-i) * pause)
		}
		s.append(name, at.Format(p.layout)+"\n")
	}
	s.clock = s.clock.Add(lines * pause)
	s.touch(name, s.clock)
	s.clock = s.clock.Add(10 * time.Second)
}

// strangers are rows in which the log of another program could be taken for a rotated
// one: it was written between two of ours, and its name leaves it open.
func strangers() (all []scenario) {
	for _, p := range programs {
		for _, names := range []string{"`eve.json.1` (", "`eve.1.json` (", "`eve.json.1769829351`", "`eve.json.1`, the highest"} {
			all = append(all, scenario{name: "another program's log between two of ours: " + p.kind, names: schemeOf(names), play: func(s *stage) {
				s.begun()
				for _, name := range []string{"eve-debug.json", "eve.json.trace", "eve.json.old.log"} {
					s.write(2)
					s.rotate()
					p.begin(s, name)
					s.write(2)
					s.read()
				}
				s.stop()
				s.write(2)
				s.rotate()
				p.begin(s, "eve-more.json")
				s.compress("eve-more.json", ".gz")
				s.write(2)
				s.up()
				s.ended()
			}})
		}
		all = append(all, scenario{name: "another program's log between two of ours: " + p.kind, names: schemeOf("`7.data`"), play: func(s *stage) {
			s.begun()
			s.write(2)
			s.rotate()
			p.begin(s, "other.data")
			s.write(2)
			s.stop()
			s.rotate()
			p.begin(s, "more.data")
			s.write(2)
			s.up()
			s.ended()
		}})
	}
	return all
}
