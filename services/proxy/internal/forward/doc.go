// Package forward carries a request to a model provider and the answer back,
// and decides who may ask for what. It holds the only copy of the provider's
// key.
//
//	request ─▶ Table.Match ─▶ Admission.Admit ─▶ ReadBody ─▶ Upstream.Forward ─▶ provider
//	           method, path,   Host, Origin,      decoded,     key in, caller's      │
//	           query           client token       bounded      credentials out       │
//	                                                                                 ▼
//	client ◀─ key redacted ◀─ Exchange.Answer ◀─ decoded (gzip, br, zstd) ◀─ idle timeout
//
// What goes upstream is built anew rather than copied and cleaned: the path and
// the query from the Route that an allowlist has found, the header from the
// names that another lets through, the body from the bytes that were inspected.
// What no rule mentions therefore does not pass.
//
// # Why not httputil.ReverseProxy
//
// Its services are not wanted here. It copies headers, trailers, informational
// answers and protocol upgrades, each of which would have to be undone. It
// writes the status before the body is read, while an answer may be refused on
// account of its body. It has no deadline for a client that does not read. It
// sends a request without a body again when a kept connection breaks. What is
// left is a RoundTrip and a copy, and these are written out in Forward.
//
// # Retries
//
// There are none, neither here nor in the transport. A provider bills what it
// has begun; callers retry by themselves, and then each attempt is audited.
package forward
