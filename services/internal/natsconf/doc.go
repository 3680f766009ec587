// Package natsconf is what a NATS server must be told to be the bus: the keys of
// the roles, the accounts that keep the roles apart, and for a server that runs
// on its own its whole configuration file.
//
//	LoadOrCreate ─▶ one nkey seed per role, in files only the owner can read
//	                   │ public keys
//	roles ─────────────┴▶ Accounts ─▶ Server ─▶ nats.conf
package natsconf
