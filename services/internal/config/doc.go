// Package config reads a service's settings from its environment.
//
// A service declares its settings as a struct, one field each:
//
//	type Config struct {
//		Path string `env:"SHIPPER_PATH, required" doc:"File to follow."`
//		Idle time.Duration `env:"SHIPPER_IDLE, default=30s" doc:"How long to wait before …"`
//		Bus  config.NATS
//	}
//
// The env tag is go-envconfig's, of which this package supports the key and
// the options required and default; the doc tag feeds --help and
// docs/configuration.md. Fields are of basic types, durations, slices of these,
// or types that implement [encoding.TextUnmarshaler]. Untagged struct fields
// nest. A struct with a Validate() error method is asked to check itself once
// it is filled.
//
// An empty value counts as unset, because environment files and compose's
// ${KEY:-} cannot tell the two apart. A field for which empty means something
// says so with the tag empty:"allowed".
//
// Every setting of type [Secret] can also be given as KEY_FILE, the path of a
// file that holds the value.
package config
