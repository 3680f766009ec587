// Package bus is how the services speak to NATS JetStream: connecting as a
// role, publishing with known outcomes, consuming, reading history, and
// provisioning what package proto defines.
//
//	Connect ──▶ Conn ──┬─▶ Fence      one writer per source, in order, no doubles
//	                   ├─▶ Publish    one message, acknowledged
//	                   ├─▶ Consumer   a durable: Fetch ─▶ Msg ─▶ Ack | DeadLetter
//	                   ├─▶ History    what is stored, read without a consumer
//	                   ├─▶ Live       what is being stored
//	                   └─▶ Provision  streams and durables, created or migrated
//
// Every role has credentials and an inbox of its own ([Roles]). The server
// answers a request that a role may not make with silence, and reports the
// violation on the side; this package brings the two together, so that the call
// concerned returns a [*PermissionError] at once instead of timing out.
//
// A stored message's own headers come from whoever published it and can imitate
// those that the server adds. Nothing here trusts them: see [Stored] and [Msg].
package bus
