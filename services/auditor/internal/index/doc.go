// Package index answers questions about the audit log: a SQLite file with a row
// for each LLM request, built from the log's records.
//
//	log ─▶ Record ─▶ Add ─▶ requests   one row each, start and end merged ─▶ List, Get
//	                   │     calls, findings   which requests called or broke what
//	                   ├───▶ rollups    sums by hour, group and tool ─▶ Report, Tools
//	                   └───▶ position   the last record taken in, in the same transaction
//
// The log is the truth and the index never is: it can be dropped and built again
// at any time, so it is written without waiting for the disk, and holds nothing
// that the log does not. What was said in a request, where it is kept at all, is
// in the log only.
//
// One process writes. Others read at the same time, with [Options.ReadOnly].
package index
