// Package natsd is the embedded NATS server: one process's JetStream on the
// loopback interface, in which every client is an nkey user with the
// permissions of one role (package natsconf), and every acknowledged message is
// on the disk.
//
//	Start ─▶ Server ─▶ URL
//	            └─ holds the directory's lock while it lives
package natsd
