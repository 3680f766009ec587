package follow

import (
	"fmt"
	"os"
	"strings"
)

func numbered(format string) func(int) string {
	return func(n int) string { return fmt.Sprintf(format, n) }
}

func dated(layout string) func(*stage) string {
	return func(s *stage) string { return s.clock.Format(layout) }
}

func upwards(format string) func(*stage) string {
	return func(s *stage) string { return fmt.Sprintf(format, s.count) }
}

// copyTruncate copies and truncates.
func copyTruncate(s *stage) {
	for i, old := range s.rotated {
		to := fmt.Sprintf("eve.json.%d", len(s.rotated)-i+1)
		s.rename(old, to)
		s.rotated[i] = to
	}
	data, err := os.ReadFile(s.at(s.live))
	s.check(err)
	s.check(os.WriteFile(s.at("eve.json.1"), data, 0o600))
	s.touch("eve.json.1", s.clock)
	s.check(os.Truncate(s.at(s.live), 0))
	s.touch(s.live, s.clock)
	s.rotated = append(s.rotated, "eve.json.1")
}

// lumberjack compresses without keeping the modification time.
func lumberjack(s *stage) {
	to := s.clock.Format("eve-2006-01-02T15-04-05.000.json")
	s.rename(s.live, to)
	to = s.compress(to, ".gz")
	s.touch(to, s.clock)
	s.rotated = append(s.rotated, to)
}

// schemes are the notations of rotated names. In each a program that is in use
// rotates, but for the last few, which nobody could know.
func schemes() []scheme {
	random := func(s *stage) string {
		return fmt.Sprintf("%06x", uint32(s.count)*2654435761>>8&0xffffff)
	}
	return []scheme{
		{name: "`eve.json.1` (logrotate)", rotate: shifting("", numbered("eve.json.%d"))},
		{name: "`eve.json.1.gz`", rotate: shifting(".gz", numbered("eve.json.%d"))},
		{name: "`eve.json.1.zst`", rotate: shifting(".zst", numbered("eve.json.%d"))},
		{name: "`eve.json.1.xz`", rotate: shifting(".xz", numbered("eve.json.%d"))},
		{name: "`eve.json.1.bz2`", rotate: shifting(".bz2", numbered("eve.json.%d"))},
		{name: "`eve.json.0` (newsyslog)", rotate: shifting("", func(n int) string { return fmt.Sprintf("eve.json.%d", n-1) })},
		{name: "`eve.1.json` (logrotate `extension`)", rotate: shifting("", numbered("eve.%d.json"))},
		{name: "`eve-1.json`", rotate: shifting("", numbered("eve-%d.json"))},
		{name: "`eve_1.json`", rotate: shifting("", numbered("eve_%d.json"))},
		{name: "`eve.1.json.gz`", rotate: shifting(".gz", numbered("eve.%d.json"))},
		{name: "`eve.1.json.zst`", rotate: shifting(".zst", numbered("eve.%d.json"))},
		{name: "`eve.json.1`, copytruncate", rotate: copyTruncate},
		{name: "`eve.json-20260131-1769829351` (logrotate `dateext`)", rotate: once("", func(s *stage) string {
			return fmt.Sprintf("eve.json-%s-%d", s.clock.Format("20060102"), s.clock.Unix())
		})},
		{name: "`eve-20260131031551.json`", rotate: once("", dated("eve-20060102150405.json"))},
		{name: "`eve.json.1769829351` (rotatelogs)", rotate: once("", func(s *stage) string { return fmt.Sprintf("eve.json.%d", s.clock.Unix()) })},
		{name: "`eve-2026-01-31T03-15-51.642.json` (lumberjack, Caddy)", rotate: once("", dated("eve-2006-01-02T15-04-05.000.json"))},
		{name: "`eve-2026-01-31T03-15-51.642.json.gz`, new time", rotate: lumberjack},
		{name: "`eve.json.2026-01-31T03:15:51Z`", rotate: once("", dated("eve.json.2006-01-02T15:04:05Z"))},
		{name: "`eve.json.2026-01-31T03:15:51.642Z.gz`", rotate: once(".gz", dated("eve.json.2006-01-02T15:04:05.000Z"))},
		{name: "`eve.json-20260131T031551+0000`", rotate: once("", dated("eve.json-20060102T150405-0700"))},
		{name: "`eve.2026-01-31.1.json` (log4j2, logback `%d.%i`)", rotate: once("", func(s *stage) string {
			return s.clock.Format("eve.2006-01-02") + fmt.Sprintf(".%d.json", s.count)
		})},
		{name: "`eve.json.1`, the highest is the newest (log4j2)", rotate: once("", upwards("eve.json.%d"))},
		{name: "`eve.json.1.gz`, the highest is the newest", rotate: once(".gz", upwards("eve.json.%d"))},
		{name: "`eve.json.001`, the highest is the newest", rotate: once("", upwards("eve.json.%03d"))},
		{name: "`eve1.json`, the highest is the newest (winston)", rotate: once("", upwards("eve%d.json"))},
		{name: "`eve.json.31-Jan-2026-03-15-51`", rotate: once("", dated("eve.json.02-Jan-2006-15-04-05"))},
		{name: "`eve.json.Jan31-031551`", rotate: once("", dated("eve.json.Jan02-150405"))},
		{name: "`eve.json.031551`", rotate: once("", dated("eve.json.150405"))},
		{name: "`eve-01-31-2026-031551.json`", rotate: once("", dated("eve-01-02-2006-150405.json"))},
		{name: "`20260131-031551-eve.json`", rotate: once("", dated("20060102-150405-eve.json"))},
		{name: "`old/eve.json.1` (`olddir`)", olddir: "old", rotate: shifting("", numbered("old/eve.json.%d"))},
		{name: "`old/eve.json.1.zst`", olddir: "old", rotate: shifting(".zst", numbered("old/eve.json.%d"))},
		{name: "`old/eve-2026-01-31T03-15-51.642.json`", olddir: "old", rotate: once("", dated("old/eve-2006-01-02T15-04-05.000.json"))},
		{name: "`eve.json.old.1`", rotate: shifting("", numbered("eve.json.old.%d"))},
		{name: "`eve.json.a1b2c3` (random)", rotate: once("", func(s *stage) string { return "eve.json." + random(s) })},
		{name: "`eve-550e8400-e29b….json` (random)", rotate: once("", func(s *stage) string {
			return fmt.Sprintf("eve-550e8400-e29b-41d4-a716-4466%s.json", strings.Repeat(random(s), 2))
		})},
		{name: "`archived-eve.json.xyz1` (of no program)", rotate: once("", upwards("archived-eve.json.xyz%d"))},
		{name: "`7.data` (of no program, without the log's name)", unrelated: true, rotate: once("", upwards("%d.data"))},
		{name: "`eve.json.1.lz4` (not read)", unread: true, rotate: shifting(".lz4", numbered("eve.json.%d"))},
	}
}

// situation is when rotations happen.
type situation struct {
	name string
	play func(*stage)
}

// situations are played with each scheme.
func situations() []situation {
	begin := func(s *stage) {
		s.up()
		s.read()
		s.write(5)
		s.read()
	}
	rotateThrice := func(s *stage) {
		for range 3 {
			s.write(5)
			s.rotate()
		}
		s.write(5)
	}
	return []situation{
		{"read between rotations, then a restart", func(s *stage) {
			begin(s)
			for range 4 {
				s.write(3)
				s.rotate()
				s.write(2)
				s.read()
			}
			s.kill()
			s.settle()
		}},
		{"3 rotations while stopped (SIGSTOP)", func(s *stage) {
			begin(s)
			rotateThrice(s)
			s.settle()
			s.kill()
			s.settle()
		}},
		{"3 rotations while down", func(s *stage) {
			begin(s)
			s.stop()
			rotateThrice(s)
			s.up()
			s.settle()
			s.kill()
			s.settle()
		}},
		{"the same after 6 rotations that were read, killed every 4 lines", func(s *stage) {
			begin(s)
			for range 6 {
				s.write(3)
				s.rotate()
				s.write(1)
				s.settle()
			}
			s.stop()
			rotateThrice(s)
			s.up()
			for range 5 {
				s.readUntil(4)
				s.kill()
			}
			s.settle()
			s.kill()
			s.settle()
		}},
	}
}
