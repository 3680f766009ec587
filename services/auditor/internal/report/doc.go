// Package report writes what the index answers: for a person as a table, for a
// program as JSON, for a spreadsheet as CSV.
//
//	Report, Tools, List ─▶ header, rows of cells ─┬─▶ Text
//	                    │                         └─▶ CSV
//	                    └─▶ JSON, as the index has it
//
// Names come from requests and are data: a table has them without what could drive
// a terminal, a CSV file without what a spreadsheet would take for a formula.
package report
