// Package lists holds what several detections have to agree on: the paths at which
// OpenClaw and its owner keep secrets, memory and skills, and the hosts of LLM
// providers. Rules, policies and documentation are made of them.
//
//	paths.yaml ─┬─▶ CommandPattern   the proxy's dangerous-command
//	            ├─▶ Condition        the local rules (rules/openclaw.yaml)
//	            ├─▶ TraceeFilters    Tracee's policies
//	            └─▶ Table            docs/sensors.md
//	providers.yaml ─▶ HostPattern    Suricata's sid 9900015, the local rule llm-api-direct
package lists

import (
	_ "embed"
	"fmt"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml"
)

//go:embed paths.yaml
var pathsFile []byte

//go:embed providers.yaml
var providersFile []byte

// Kind is what a path holds.
type Kind string

// The kinds.
const (
	Config  Kind = "config"  // OpenClaw's configuration
	Secrets Kind = "secrets" // its secret stores
	Keys    Kind = "keys"    // its key material
	Owner   Kind = "owner"   // keys of the owner's or the machine's
	Memory  Kind = "memory"  // files that OpenClaw reads as instructions
	Skills  Kind = "skills"  // programs and instructions that it loads
)

// OwnSecrets are the kinds that nobody but OpenClaw has to read.
var OwnSecrets = []Kind{Config, Secrets, Keys}

// Instructions are the kinds that nobody but OpenClaw has to write.
var Instructions = []Kind{Memory, Skills}

// Path is one place. paths.yaml describes the fields.
type Path struct {
	Path     string   `yaml:"path"`
	Kind     Kind     `yaml:"kind"`
	What     string   `yaml:"what"`
	Files    []string `yaml:"files"`
	Except   []string `yaml:"except"`
	Programs []string `yaml:"programs"`
	Names    []string `yaml:"names"`
}

// Paths are the places, in the order of the file.
type Paths struct {
	Paths  []Path   `yaml:"paths"`
	Tables []string `yaml:"tables"` // of databases
}

// Placeholders of a path.
const (
	home      = "~/"
	state     = "$STATE/"
	workspace = "$WORKSPACE/"
	anywhere  = "**/"
)

// LoadPaths reads the list of paths. It is part of the program, so that an error is
// a fault of the program.
func LoadPaths() (Paths, error) {
	var p Paths
	if err := yaml.UnmarshalWithOptions(pathsFile, &p, yaml.Strict()); err != nil {
		return Paths{}, fmt.Errorf("reading the list of paths: %w", err)
	}
	return p, nil
}

// LoadProviders returns the hosts of providers, the commonest bypass first. * stands
// for any part of a name.
func LoadProviders() ([]string, error) {
	var file struct {
		Providers []string `yaml:"providers"`
	}
	if err := yaml.UnmarshalWithOptions(providersFile, &file, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("reading the list of providers: %w", err)
	}
	return file.Providers, nil
}

// HostPattern is a regular expression, in the syntax that RE2 and PCRE share, for
// the whole of a host's name in lower case.
func HostPattern(hosts []string) string {
	alternatives := make([]string, len(hosts))
	for i, host := range hosts {
		alternatives[i] = strings.ReplaceAll(regexp.QuoteMeta(host), `\*`, `[a-z0-9.-]*`)
	}
	return `^(` + strings.Join(alternatives, "|") + `)$`
}
