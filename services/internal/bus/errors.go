package bus

import (
	"errors"
	"fmt"
)

// Sentinels of this package's errors.
var (
	// ErrFenced reports that the last message under a fence's filter is not the
	// one the fence expected. Nothing was stored. See [Fence.Publish].
	ErrFenced = errors.New("another message was stored first")

	// ErrMaybeStored reports that nobody can tell from here whether the server
	// has stored what was published: its acknowledgement did not arrive.
	ErrMaybeStored = errors.New("not acknowledged, may be stored or not")

	// ErrNoSpace reports that the stream or the server's store is full and takes
	// nothing more. Nothing was stored.
	ErrNoSpace = errors.New("no space left in the stream")

	// ErrTooLarge reports a message or a batch beyond the limits of the server
	// or of [MaxBatchBytes]. Nothing was stored.
	ErrTooLarge = errors.New("too large")

	// ErrBatchRefused reports that the server did not stage all of a batch: others
	// hold all its places for batches, perhaps. Nothing was stored. The messages
	// may be published one by one.
	ErrBatchRefused = errors.New("the server takes no batch")

	// ErrNotConnected reports that there is no connection to the server, or that
	// it broke before the server had replied to a request. The Conn goes on trying
	// to connect.
	ErrNotConnected = errors.New("not connected to NATS")

	// ErrClosed reports that the connection has ended for good: it was closed,
	// or the server rejects the role's key since a reconnect.
	ErrClosed = errors.New("the NATS connection is closed")

	// ErrNotProvisioned reports that a stream or a durable does not exist.
	ErrNotProvisioned = errors.New("not provisioned: run `secbus provision`")

	// ErrRejected reports that the server does not accept the role's key.
	ErrRejected = errors.New("the NATS server rejects the key")
)

// Permanent reports whether trying again cannot help until somebody changes
// something: the role's rights, the streams, or the message.
func Permanent(err error) bool {
	var permission *PermissionError
	var schema *SchemaError
	return errors.As(err, &permission) || errors.As(err, &schema) ||
		errors.Is(err, ErrClosed) || errors.Is(err, ErrRejected) ||
		errors.Is(err, ErrNotProvisioned) || errors.Is(err, ErrTooLarge)
}

// PermissionError reports that the server does not let the role do something.
type PermissionError struct {
	Role    string
	Op      string // "publish" or "subscribe"
	Subject string
}

// Error names the role, the subject and what to do.
func (e *PermissionError) Error() string {
	return fmt.Sprintf("role %s may not %s to %q: grant it in the permissions of that role's NATS user, or check that the key is this role's", e.Role, e.Op, e.Subject)
}

// SchemaError reports that a stream or a durable was provisioned for another
// version of the protocol than this program speaks.
type SchemaError struct {
	Name string // of the stream or the durable
	Have int    // version on the bus; 0 where this project did not create it
	Want int    // version of this program
}

// Error says which of the two to upgrade.
func (e *SchemaError) Error() string {
	switch {
	case e.Have == 0:
		return fmt.Sprintf("%s exists but was not made by this project: rename or remove it, then run `secbus provision`", e.Name)
	case e.Have > e.Want:
		return fmt.Sprintf("%s has schema version %d and this program speaks %d: upgrade this program", e.Name, e.Have, e.Want)
	default:
		return fmt.Sprintf("%s has schema version %d and this program speaks %d: run `secbus provision`", e.Name, e.Have, e.Want)
	}
}
