// Package follow reads a growing file, or a set of them, through every way in
// which files are rotated, and returns each line once, in order, with a
// checkpoint from which another process goes on exactly there.
//
//	directories            generations, oldest first         one buffer
//	┌──────────────┐ scan  ┌─────────────────────────┐ drain ┌────────┐ Next
//	│ eve.json     │──────▶│ ended  ended  a   b   c │──────▶│ window │─────▶ Batch
//	│ eve.json.1   │       └─────────────────────────┘       └────────┘       Lines
//	│ eve.json.2.gz│        ▲ adopt: the rest of one            │              │
//	└──────────────┘        │ whose file was cut or moved       │ verify       ▼
//	   ▲                    └─ take up: those never seen        ▼        AppendCheckpoint
//	   └ wake (a hint)                                    the 256 bytes
//	                                                      before the offset
//
// A generation is the content of a file from its first line until it is
// truncated or given up. It is known by the hash of its first line, never by a
// name or an inode: names are given away and inodes are reused. What was read
// of it is vouched for by the bytes before the offset, which are looked at again
// after each block and before any line of it is returned. If they have changed,
// the file was truncated, and a scan looks for a copy.
//
// A scan accounts for every file of the directory. It is a file being read, or
// a copy of one, or was read before, or is new; new ones are read from oldest to
// newest, each to its end. An old file is kept open as long as nothing newer has
// come to its place, for its writer may go on in it, and for a grace period
// after that.
//
// A checkpoint lists the position in each generation that is being read, so that
// the last stored message alone says where to go on: one for each file being
// written, one for each rotated file in its grace period, and the three that
// ended last. Everything else that was read is covered by the settled time, a
// modification time up to which rotated files are done with, and by the order
// of the files of one name; until a scan has moved the settled time, what has
// ended is listed, too. At most 128 positions are.
//
// What no reader can recover is returned as a Gap: bytes that were truncated
// before they were read when there is no copy, and a generation of the
// checkpoint that is not there any more. How much was written between a copy and
// its truncation is known only if the writer leaves a hole; see generation.hole.
//
// Files are found by polling. Notifications of the operating system only make
// the next poll come early.
package follow
