// Package normalize turns the lines that sensors write into events of the bus.
//
//	line ─▶ Normalizer.Event ─▶ Sensor.Decode ─▶ proto.Event ─▶ publish
//	            │                (suricata, tracee, …)
//	            └─ not a JSON object ─▶ an "unparsed" event
//
// It never fails and never skips: each line becomes exactly one event. Sensors
// report what an attacker sends, so a line must not vanish, nor lose what it
// says about a detection, because part of it is malformed. Strict decoding into
// Go types is the fast path; a line that it refuses is decoded again, tolerantly.
//
//	line                                  result
//	────────────────────────────────────  ─────────────────────────────────────────────
//	a JSON object                         the event; Raw is the object, byte for byte
//	  a name occurs twice in an object    tag "duplicate-keys"; the last value wins,
//	                                      two objects are merged; Raw
//	  malformed UTF-8                     tag "malformed-utf8"; U+FFFD in strings; no
//	                                      Raw, the line's bytes in Line (64 KiB)
//	  half a surrogate pair, escaped      tag "malformed-utf8"; U+FFFD in strings; Raw
//	  a value of an unexpected type       tag "mapping-mismatch"; only that value is
//	                                      missing from the normalized fields; Raw
//	  no readable event name              tag "mapping-mismatch"; kind "unknown", at
//	                                      least severity low; Raw
//	  no readable time                    tag "no-time"; Time is when it was read; Raw
//	cut off, data after the object, NUL   kind "unparsed", severity low, tag "no-time";
//	bytes, other malformed JSON, JSON     Line says why and where, with the first
//	that is no object, nesting deeper     16 KiB
//	than 512, nothing but white space
//
// Both fallbacks are above info on purpose: a line that nobody can read may hide
// a detection, so it is kept with the alerts.
//
// Length never makes a line unreadable here; [Oversize] is for events that do
// not fit a message.
package normalize
