// Package proto is the wire protocol of the OpenClaw security bus: what is
// published, under which subject, into which stream, with which headers.
//
//	publisher                     nats-server                        readers
//	ingest.alert.box1.suricata…──▶ SECURITY  ── security.alert.… ──▶ SECURITY_ALERTS ─▶ notifier
//	ingest.event.box1.tracee… ───▶    │
//	                                  └─ republish security.> ─────▶ nats sub 'security.>'
//	ingest.audit.box1.proxy… ────▶ SECURITY_AUDIT ─ security.audit.… ─▶ auditor
//
// Publishers write ingest subjects only. The server stores each message under
// the same subject with "ingest" replaced by "security" and republishes what it
// has stored, so no client identity needs, or has, the right to publish
// security.>.
//
// The package imports the standard library only, so that a program in another
// repository can depend on it without taking anything else along.
//
// Beside the Go types it holds the protocol for everybody else: JSON Schemas
// generated from the types (schema/), an AsyncAPI 3 document (asyncapi.json) and
// one message of each sort (examples/).
package proto

//go:generate go run ./internal/schema/gen
