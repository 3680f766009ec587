// Package chain is the audit log on disk: records that are only ever appended,
// each bound to all that came before it, so that nobody can alter, drop, insert or
// reorder one without its being seen.
//
//	Missing ─▶ Append ─▶ segment (lines) ─▶ Tidy: compressed ─▶ Tidy: stub
//	              │          │                   │                  │
//	         Checkpoint      └───────────────────┴──────────────────┴─▶ Scan, Verify
//
// # Format
//
// A log is a directory. Its segments are numbered from 1:
//
//	00000001.jsonl       lines
//	00000001.jsonl.zst   the same lines in zstd, once the segment is closed
//	00000001.stub.jsonl  what is left when retention has removed the records
//	checkpoints.jsonl    signed statements, one a line
//	key.pem, key.pub     the Ed25519 key (PKCS #8) and its public half (PKIX), in PEM
//
// A segment begins with a header, goes on with records and, once it is closed, ends
// with a footer, each a line of JSON without spaces:
//
//	{"prev":"…","header":{"version":1,"log":"…","segment":2,"first_seq":5,…}}
//	{"prev":"…","seq":5,"id":"…","stream_seq":9,"stored":"…","payload":{…}}
//	{"prev":"…","footer":{"segment":2,"first_seq":5,"last_seq":5,"header":"…",…,"signature":"…"}}
//
// Each prev is the SHA-256 of the line before, newline included, in hex; the first
// line of a segment names the last one of the segment before, and the first of all
// has zeros. So the hash of record n is SHA-256(hash n−1 ‖ the rest of line n), and
// any line can be checked against the next one:
//
//	sed -n 5p 00000002.jsonl | sha256sum
//	sed -n 6p 00000002.jsonl | jq -r .prev
//
// A payload stands in its line byte for byte. One that is not JSON, or has a line
// break in it, stands there in base64, as payload_base64.
//
// A signature is over its line without the signature and without the newline. With
// OpenSSL 3:
//
//	tail -n 1 00000002.jsonl > line
//	sed 's/,"signature":"[^"]*"//' line | tr -d '\n' > text
//	jq -r .footer.signature line | base64 -d > signature
//	openssl pkeyutl -verify -pubin -inkey key.pub -rawin -in text -sigfile signature
//
// and likewise for the lines of checkpoints.jsonl, with .signature. A checkpoint
// names a record and its hash (for seq 0 the first header's); it vouches for all
// that is before. A footer vouches by its prev for all of its segment, and by the
// header's hash for the header. A stub is header, footer and a signed statement that
// retention has removed what was between; the next segment names the footer.
//
// # What is detected
//
// Every line is vouched for by the next, and all lines by the next signature. So
// whoever has no key can alter nothing before the last signature unseen. Behind it
// there are never more than [MaxUnsigned] records, and in a log that was closed
// none; [Report] says how many.
//
// Two things a log cannot show by itself: that its end was cut off together with the
// checkpoints about it (the log was set back to an earlier copy), and that all of it
// was written anew by someone who has the key. Both contradict any later checkpoint
// that was kept elsewhere: [Verify] takes those. The public key should be kept
// elsewhere too.
package chain
