// Package audit keeps the proxy's own records, audits of requests and alerts,
// and gets each of them into its stream, in order, once.
//
//	AppendAudit ─▶ spool of audits ─▶ drain ─▶ fenced publish ─▶ SECURITY_AUDIT
//	AppendAlert ─▶ spool of alerts ─▶ drain ─▶ fenced publish ─▶ SECURITY
//	                 (on disk)          ▲ waits for NATS, alone
//
// A request never waits for NATS or for a disk: appending hands the record to the
// operating system and returns. From then on the end of the process, even by
// SIGKILL, loses nothing; the end of the machine can take what was appended in
// the last tenth of a second or so, which is how often the spools are synced.
//
// Each stream has a spool, and a share of the space, of its own: a full
// SECURITY_AUDIT can neither hold up an alert nor take its place on disk.
//
// The stream is the checkpoint. Each message says in [proto.HeaderCheckpoint]
// where in its spool it ends, and whoever drains a spool goes on behind the last
// message stored under its host. A position that the spool does not have is in a
// file that was removed, because all of it is stored or with the whole directory:
// everything here is new then.
//
// What cannot be kept, because a spool is full or its disk has failed, is counted
// by reason and reported by an alert of kind [KindGap].
package audit
