// Package tracee holds what belongs to the sensor Tracee: a recording of its
// output, for demonstrations and tests.
package tracee

import _ "embed"

//go:embed testdata/tracee-0.24.events.json
var recording []byte

// Recording is what Tracee 0.24 wrote: events of a container at work, and its
// signatures, a line each. The caller must not change it.
func Recording() []byte { return recording }
