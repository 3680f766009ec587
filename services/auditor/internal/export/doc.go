// Package export writes the audit log for other systems: one JSON object a line,
// one for each record of the log, in its order.
//
//	log ─▶ Record ─▶ behind the last one of the time before ─▶ OCSF or OpenTelemetry ─▶ lines
//
// Nothing is kept in memory and nothing is left out: a record that cannot be
// decoded is exported as what it is. A request has two records, and an export both:
// one that was interrupted is told by its start, and the two share the request's id.
package export
