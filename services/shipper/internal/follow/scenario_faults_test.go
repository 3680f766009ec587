package follow

import (
	"cmp"
	"fmt"
	"os"
	"strings"
	"time"
)

// begun starts with five lines that are stored.
func (s *stage) begun() {
	s.up()
	s.read()
	s.write(5)
	s.read()
}

// ended stores what is left, restarts, and stores what comes.
func (s *stage) ended() {
	s.settle()
	s.write(2)
	s.settle()
	s.kill()
	s.settle()
}

// down rotates n times while the follower is away.
func (s *stage) down(n int) {
	s.stop()
	for range n {
		s.write(5)
		s.rotate()
	}
	s.write(5)
}

// replaceLive puts a copy with two more lines in the place of what is written, and
// leaves the file under backup, unless that is empty.
func (s *stage) replaceLive(backup string) {
	data, err := os.ReadFile(s.at(s.live))
	s.check(err)
	s.check(os.WriteFile(s.at(".new"), data, 0o600))
	if backup != "" {
		s.rename(s.live, backup)
	}
	s.writeTo(".new", 2)
	s.rename(".new", s.live)
}

func (s *stage) link(to, name string) {
	s.check(os.Symlink(to, s.at(name+".link")))
	s.check(os.Rename(s.at(name+".link"), s.at(name)))
}

func (s *stage) mkdir(name string) { s.check(os.MkdirAll(s.at(name), 0o700)) }

// decoy writes to another log of the same program at the same time.
func (s *stage) decoy(name string) {
	at := s.clock.Add(-300 * time.Millisecond)
	s.append(name, fmt.Sprintf(`{"timestamp":"%s","event_type":"alert","of":"%s"}`+"\n", at.Format("2006-01-02T15:04:05.000000-0700"), name))
}

func faults() []scenario {
	logrotate, extension, dates, newest := schemeOf("`eve.json.1` ("), schemeOf("`eve.1.json` ("), schemeOf("`eve.json.1769829351`"), schemeOf("`eve.json.1`, the highest")
	var all []scenario
	add := func(name string, names scheme, play func(*stage)) {
		if names.name == "" {
			names.name = "`" + cmp.Or(names.live, "eve.json") + "`"
		}
		all = append(all, scenario{name: name, names: names, play: play, unordered: strings.Contains(names.live, "*")})
	}

	for _, backup := range []string{"", "eve.json~", "eve.json.bak"} {
		what := "a longer copy (rsync, sed -i)"
		if backup != "" {
			what = "an editor that leaves `" + backup + "`"
		}
		add("the file replaced by "+what+", 4 times", logrotate, func(s *stage) {
			s.begun()
			for range 4 {
				s.write(1)
				s.replaceLive(backup)
				s.read()
				s.write(1)
				s.read()
			}
			s.ended()
		})
		add("the file replaced by "+what+" while down", logrotate, func(s *stage) {
			s.begun()
			s.stop()
			s.write(1)
			s.replaceLive(backup)
			s.write(1)
			s.up()
			s.ended()
		})
		add("the file replaced by "+what+" before a rotation", logrotate, func(s *stage) {
			s.begun()
			s.replaceLive(backup)
			s.read()
			s.write(2)
			s.rotate()
			s.write(2)
			s.ended()
		})
	}

	for _, names := range []scheme{logrotate, extension, dates, newest} {
		back := func(s *stage) {
			s.stop()
			s.clock = s.clock.Add(-2 * time.Hour)
		}
		if names.name != dates.name && names.name != newest.name {
			add("the clock set back 2 h while down", names, func(s *stage) {
				s.begun()
				s.write(5)
				s.rotate()
				s.write(5)
				s.settle()
				back(s)
				s.down(3)
				s.up()
				s.clock = s.clock.Add(time.Minute)
				s.ended()
			})
		}
		all = append(all, scenario{
			name: "the clock set back 2 h while down, the file of the checkpoint deleted by retention", names: names, falseGap: true,
			play: func(s *stage) {
				s.begun()
				for range 3 {
					s.write(5)
					s.rotate()
					s.write(1)
					s.settle()
				}
				back(s)
				s.rotate()
				s.keep(0)
				s.down(3)
				s.up()
				s.clock = s.clock.Add(time.Minute)
				s.ended()
			},
		})
		add("old times on all files (restored by rsync -t)", names, func(s *stage) {
			s.begun()
			s.write(5)
			s.rotate()
			s.write(5)
			s.settle()
			s.down(2)
			for _, name := range append(s.rotated, s.live) {
				s.touch(name, s.clock.Add(-48*time.Hour))
			}
			s.up()
			s.ended()
		})
		add("new times on all files (restored by cp)", names, func(s *stage) {
			s.begun()
			for range 5 {
				s.write(5)
				s.rotate()
				s.write(1)
				s.settle()
			}
			s.down(2)
			for _, name := range append(s.rotated, s.live) {
				s.clock = s.clock.Add(30 * time.Millisecond)
				s.touch(name, s.clock)
			}
			s.up()
			s.ended()
		})
		all = append(all, scenario{
			name: "the file deleted by hand while down", names: names, falseGap: true,
			play: func(s *stage) {
				s.begun()
				for range 3 {
					s.write(5)
					s.rotate()
					s.write(1)
					s.settle()
				}
				s.stop()
				s.check(os.Remove(s.at(s.live)))
				s.write(3)
				s.up()
				s.ended()
			},
		})
		all = append(all, scenario{
			name: "retention deletes what was not read", names: names, lost: true,
			play: func(s *stage) {
				s.begun()
				s.down(5)
				s.keep(2)
				s.up()
				s.ended()
			},
		})
		add("3 files kept, a rotation every 0.8 s, 6 restarts", names, func(s *stage) {
			s.begun()
			for i := range 12 {
				s.write(2)
				s.rotate()
				s.keep(3)
				s.write(1)
				s.read()
				s.clock = s.clock.Add(800 * time.Millisecond)
				if i%2 == 1 {
					s.kill()
				}
			}
			s.ended()
		})
		add("the first lines of all files are the same, killed", names, func(s *stage) {
			s.header = `{"program":"sensor","version":1}`
			s.up()
			s.read()
			for range 5 {
				s.write(2)
				s.rotate()
				s.write(1)
				s.readUntil(2)
				s.kill()
			}
			s.down(3)
			s.up()
			s.ended()
		})
		add("another log and its rotated files beside", names, func(s *stage) {
			s.decoy("eve-alerts.json")
			s.begun()
			for range 3 {
				s.write(3)
				s.decoy("eve-alerts.json")
				s.decoy("eve-stats.json")
				s.rotate()
				s.rename("eve-alerts.json", fmt.Sprintf("eve-alerts.json.%d", s.count))
				s.write(2)
				s.decoy("eve-alerts.json")
				s.read()
			}
			s.down(2)
			s.decoy("eve-alerts.json")
			s.up()
			s.ended()
		})
		add("another log beside, rotated at the same times while down", names, func(s *stage) {
			s.decoy("eve-alerts.json")
			s.begun()
			s.stop()
			for range 3 {
				s.write(3)
				s.decoy("eve-alerts.json")
				s.write(3)
				s.rotate()
				s.rename("eve-alerts.json", fmt.Sprintf("eve-alerts.json.%d", s.count))
			}
			s.write(3)
			s.decoy("eve-alerts.json")
			s.write(1)
			s.up()
			s.ended()
		})
		add("history before the first start is not read", names, func(s *stage) {
			for range 3 {
				s.write(5)
				s.rotate()
			}
			s.written = nil
			s.write(2)
			s.up()
			s.read()
			s.down(2)
			s.up()
			s.ended()
		})
	}

	all = append(all, scenario{
		name: "a rotated file that was elsewhere comes back while down", names: logrotate, unordered: true,
		play: func(s *stage) {
			s.begun()
			s.write(3)
			s.rotate()
			s.write(3)
			s.rotate()
			s.rename("eve.json.1", "elsewhere")
			s.write(3)
			s.settle()
			s.stop()
			s.rename("elsewhere", "eve.json.1")
			s.write(1)
			s.up()
			s.ended()
		},
	})
	add("logrotate changed to `dateext` while down", logrotate, func(s *stage) {
		s.begun()
		s.write(3)
		s.rotate()
		s.down(2)
		s.names = dates
		s.rotate()
		s.down(2)
		s.up()
		s.ended()
	})
	for _, ext := range []string{".gz", ".zst", ".xz", ".bz2"} {
		add("`delaycompress` to "+ext, logrotate, func(s *stage) {
			s.begun()
			for range 5 {
				s.write(3)
				s.rotate()
				if n := len(s.rotated); n > 1 && !strings.HasSuffix(s.rotated[n-2], ext) {
					s.rotated[n-2] = s.compress(s.rotated[n-2], ext)
				}
				s.names.rotate = func(s *stage) {
					for i, old := range s.rotated {
						to := fmt.Sprintf("eve.json.%d", len(s.rotated)-i+1)
						if strings.HasSuffix(old, ext) {
							to += ext
						}
						s.rename(old, to)
						s.rotated[i] = to
					}
					s.rename(s.live, "eve.json.1")
					s.rotated = append(s.rotated, "eve.json.1")
				}
				s.write(1)
				s.read()
				s.kill()
			}
			s.ended()
		})
		all = append(all, scenario{
			name: "a " + ext + " that is cut off", names: logrotate, lost: true,
			play: func(s *stage) {
				s.begun()
				s.stop()
				s.write(300)
				s.rotate()
				s.rotated[0] = s.compress(s.rotated[0], ext)
				info, err := os.Stat(s.at(s.rotated[0]))
				s.check(err)
				s.check(os.Truncate(s.at(s.rotated[0]), info.Size()*2/3))
				s.write(5)
				s.up()
				s.ended()
			},
		})
	}

	add("a file that gets its first line and is moved away at once (`olddir` unknown)", scheme{rotate: once("", upwards("elsewhere/%d"))}, func(s *stage) {
		s.begun()
		for range 3 {
			s.rotate()
			s.append(s.live, "")
			s.read()
			s.write(2)
		}
		s.ended()
	})
	add("a pattern with numbers of six digits that are no dates", scheme{live: "w-*.json"}, func(s *stage) {
		for i := range 5 {
			s.writeTo(fmt.Sprintf("w-10000%d.json", i), 2)
		}
		s.up()
		s.read()
		for i := range 5 {
			s.writeTo(fmt.Sprintf("w-10000%d.json", i), 2)
		}
		s.read()
		s.kill()
		s.settle()
	})
	add("100 files of a pattern, rotated twice, killed every 50 lines", scheme{live: "eve.*.json"}, func(s *stage) {
		each := func(do func(name string)) {
			for i := range 100 {
				do(fmt.Sprintf("eve.%d.json", i))
			}
		}
		s.up()
		s.read()
		each(func(name string) { s.writeTo(name, 1) })
		s.read()
		s.kill()
		for n := range 2 {
			each(func(name string) { s.writeTo(name, 1) })
			each(func(name string) { s.rename(name, fmt.Sprintf("%s.%d", name, 2-n)) })
			each(func(name string) { s.writeTo(name, 1) })
			for range 6 {
				s.readUntil(50)
				s.kill()
			}
			s.settle()
		}
		s.kill()
		s.settle()
	})
	for _, names := range []string{"%s.1", "%s-20260131", "%s.1.gz"} {
		add("threads, rotated to `"+fmt.Sprintf(names, "eve.1.json")+"` while down", scheme{live: "eve.*.json"}, func(s *stage) {
			s.up()
			s.read()
			threads := []string{"eve.1.json", "eve.2.json", "eve.3.json"}
			for _, name := range threads {
				s.writeTo(name, 3)
			}
			s.read()
			s.stop()
			for _, name := range threads {
				s.writeTo(name, 3)
				to, zip := strings.CutSuffix(fmt.Sprintf(names, name), ".gz")
				s.rename(name, to)
				if zip {
					s.compress(to, ".gz")
				}
				s.writeTo(name, 3)
			}
			s.up()
			s.settle()
			s.kill()
			s.settle()
		})
	}
	add("threads, rotated to `eve.1-2026-01-31T03-15-51.642.json` while down", scheme{live: "eve.*.json"}, func(s *stage) {
		s.up()
		s.read()
		for _, name := range []string{"eve.1.json", "eve.2.json"} {
			s.writeTo(name, 3)
		}
		s.read()
		s.stop()
		for range 2 {
			for _, name := range []string{"eve.1", "eve.2"} {
				s.writeTo(name+".json", 3)
				s.rename(name+".json", name+s.clock.Format("-2006-01-02T15-04-05.000.json"))
				s.writeTo(name+".json", 3)
			}
		}
		s.up()
		s.settle()
		s.kill()
		s.settle()
	})

	links := func(s *stage) {
		for _, pod := range []string{"a", "b"} {
			s.mkdir("pods/" + pod)
			s.writeTo("pods/"+pod+"/0.log", 2)
			s.link("pods/"+pod+"/0.log", pod+".log")
		}
		s.up()
		s.read()
	}
	add("links of Kubernetes' kind, rotated while down", scheme{live: "*.log"}, func(s *stage) {
		links(s)
		s.stop()
		for _, pod := range []string{"a", "b"} {
			for range 2 {
				s.writeTo("pods/"+pod+"/0.log", 2)
				s.rename("pods/"+pod+"/0.log", "pods/"+pod+"/0.log."+s.clock.Format("20060102-150405"))
			}
			s.writeTo("pods/"+pod+"/0.log", 2)
		}
		s.up()
		s.settle()
		s.kill()
		s.settle()
	})
	add("links of Kubernetes' kind, the container restarted twice while down", scheme{live: "*.log"}, func(s *stage) {
		links(s)
		s.stop()
		for _, pod := range []string{"a", "b"} {
			s.writeTo("pods/"+pod+"/0.log", 2)
			s.writeTo("pods/"+pod+"/1.log", 2)
			s.writeTo("pods/"+pod+"/2.log", 2)
			s.link("pods/"+pod+"/2.log", pod+".log")
		}
		s.up()
		s.settle()
		s.kill()
		s.settle()
	})
	for _, running := range []bool{true, false} {
		when := " while down"
		if running {
			when = ""
		}
		away := func(s *stage) {
			if !running {
				s.stop()
			}
		}
		back := func(s *stage) {
			if running {
				s.read()
			} else {
				s.up()
			}
			s.settle()
			s.kill()
			s.settle()
		}
		add("a link to the file, moved to another"+when, logrotate, func(s *stage) {
			s.mkdir("d")
			s.writeTo("d/one.json", 3)
			s.link("d/one.json", "eve.json")
			s.up()
			s.read()
			away(s)
			s.writeTo("d/one.json", 3)
			s.writeTo("d/two.json", 3)
			s.link("d/two.json", "eve.json")
			back(s)
		})
		swap := func(s *stage) {
			s.mkdir("v1")
			s.writeTo("v1/eve.json", 3)
			s.link("v1", "current")
			s.cfg.Path = s.at("current/eve.json")
			s.up()
			s.read()
		}
		add("a link to the directory, moved twice"+when, logrotate, func(s *stage) {
			swap(s)
			away(s)
			s.writeTo("v1/eve.json", 3)
			for _, dir := range []string{"v2", "v3"} {
				s.mkdir(dir)
				s.writeTo(dir+"/eve.json", 3)
				s.link(dir, "current")
			}
			back(s)
		})
		add("the directory replaced"+when, logrotate, func(s *stage) {
			s.mkdir("log")
			s.writeTo("log/eve.json", 3)
			s.cfg.Path = s.at("log/eve.json")
			s.up()
			s.read()
			away(s)
			s.writeTo("log/eve.json", 3)
			s.rename("log", "log.old")
			s.mkdir("log")
			s.writeTo("log/eve.json", 3)
			back(s)
		})
	}
	return all
}
