package inspect

import "fmt"

// Error says why a body is refused.
type Error struct {
	// Reason is a sentence for the person who reads the client's log. Of the
	// body it quotes plain words at most.
	Reason string
	// Offset is where in the body, in bytes from 0.
	Offset int
}

// Error implements error.
func (e *Error) Error() string {
	return fmt.Sprintf("request body at byte %d: %s", e.Offset, e.Reason)
}
