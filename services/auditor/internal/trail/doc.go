// Package trail watches the audit log for what has not been before: a tool that a
// client never called, and an hour that used far more tokens than hours do.
//
//	end record ─▶ Watch ─┬─▶ tools of its client: one is new ─▶ event "first-seen", low
//	                     └─▶ tokens of this hour: too many ──▶ event "token-burst", medium
//
// Both rules can be checked by hand against `secbus audit`, and both are blind
// while they learn: nothing is told of tools in a watch's first 24 hours and 100
// requests, nor of tokens before there are 24 hours to compare with.
//
// A watch keeps nothing on disk. What it has to know at the start [Past] asks the
// index for. From then on, time is when the stream stored a record, which whoever
// wrote it has no say in. An event's id depends on what it is about only, so that
// records that are taken in again tell nothing new.
package trail
