// Package spool is a queue of records on disk with one reader: what has been
// appended is there for the reader, in order, through the end of the process,
// until the reader says that it is done with it.
//
//	Append ─▶ segment ─▶ segment ─▶ … ─▶ Reader.Next ─▶ elsewhere
//	          (removed as a whole)          Done ◀────────┘
//
// A segment is a file of lines that is only ever written to by the process that
// created it; a new process begins a new one. A line says what it is and ends
// with a newline:
//
//	<CRC-32C of the rest, 8 hex digits> <Unix time in ms> <subject> <id> <payload>
//
// A segment's name has a random word, so that a position, which is the name and
// an offset, can be kept anywhere and never means another line than the one it
// was taken from: not after a crash, and not in a spool that has taken the place
// of another. A position that the spool does not have is that of a segment which
// is gone because it was done with, or of another spool; either way all that is
// still here is yet to be read.
//
// Append returns when the line is in the operating system's hands, where the end
// of the process, however sudden, cannot hurt it. Only the end of the machine
// can, and takes what was appended since the last Sync.
package spool
