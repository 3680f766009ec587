// Package rules holds the local rules that the project ships; docs/rules.md
// describes how rules are written.
package rules

import _ "embed"

// DefaultName is what the default rules' file is called.
const DefaultName = "openclaw.yaml"

//go:embed openclaw.yaml
var defaults []byte

// Default is the text of the rules for a machine on which OpenClaw runs. The
// caller must not change it.
func Default() []byte { return defaults }
