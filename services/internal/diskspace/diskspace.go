// Package diskspace asks how much space a file system has.
package diskspace

import "errors"

// ErrUnsupported reports that space cannot be asked for on this system.
var ErrUnsupported = errors.New("free space cannot be asked for on this system")

// Space is what a file system has for programs without privileges, in bytes.
type Space struct{ Free, Total uint64 }
