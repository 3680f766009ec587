package config

import (
	"os"

	"github.com/openclaw-security/bus/proto"
)

// HostName is the name of this machine on the bus: configured if that is set,
// else the system's.
func HostName(configured string) string {
	if configured != "" {
		return proto.Slug(configured)
	}
	name, err := os.Hostname()
	if err != nil {
		name = "localhost"
	}
	return proto.Slug(name)
}
