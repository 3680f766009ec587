// Package mapping makes a source of any JSON log: a file says where a record's
// time, kind, severity and other normalized fields stand.
//
//	time:                                   # without a readable one: tag "no-time"
//	  from: $.ts                            # an expression, see package expr
//	  layouts: [unix, rfc3339]              # tried in turn; also unix_ms, unix_ns, or one of Go's
//	kind: $._path ?? "conn"                 # becomes part of the subject: a few words, never an id
//	severity:
//	  from: $.priority                      # looked up in values; the kind if there is no from
//	  values: {Critical: critical, Notice: low}
//	  default: info
//	class_uid: {values: {conn: 4001}, default: 0}
//	title: $.rule                           # for kinds without one in titles
//	titles: {dns: '"DNS query " + $.query'}
//	fields:                                 # by their names in the event
//	  src.ip: $["id.orig_h"]
//
// What an expression finds nothing for stays empty. What it finds must fit the
// field: a text field takes a text or a number, a number field an integer in
// range, also in quotes, and a list field a list of texts or one text. Anything
// else is left out, and reported as a mismatch, but the event is never lost.
// Numbers are text until a field needs them, so 64 bits arrive whole.
package mapping
