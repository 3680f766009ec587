// Package suricata holds what belongs to the sensor Suricata: a recording of
// its output, for demonstrations and tests.
package suricata

import _ "embed"

//go:embed testdata/suricata-8.eve.json
var recording []byte

// Recording is EVE JSON as Suricata 8 wrote it while a laboratory agent was
// attacked: 14 alerts and the telemetry around them, a line each. The caller
// must not change it.
func Recording() []byte { return recording }
