package bustest

import (
	_ "embed"
	"encoding/json"
	"fmt"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
)

// layoutFile holds the roles of production on [Host], and its durables where no
// sink is configured. This package cannot ask the table of services for them,
// since the tests of the services import it. The test of the table writes the
// file.
//
//go:embed layout.json
var layoutFile []byte

func layout() (l struct {
	Streams  []proto.Stream
	Durables []proto.Consumer
	Roles    []bus.Role
},
) {
	if err := json.Unmarshal(layoutFile, &l); err != nil {
		panic(fmt.Sprintf("reading layout.json: %v", err))
	}
	return l
}

// SourceStreams are the streams of the sources of production.
func SourceStreams() []proto.Stream { return layout().Streams }

// Consumers are the durables of production where no sink is configured.
func Consumers() []proto.Consumer { return layout().Durables }

// AlertStreams are the streams of production that hold alerts, without that of
// earlier versions.
func AlertStreams() []string {
	var streams []string
	for _, d := range Consumers() {
		if d.Durable == proto.DurableNotifierStdout && d.Stream != proto.StreamAlerts {
			streams = append(streams, d.Stream)
		}
	}
	return streams
}

// Roles are those of production, with the rights to these further durables.
func Roles(durables ...proto.Consumer) []bus.Role {
	roles := layout().Roles
	for i, r := range roles {
		for _, d := range durables {
			switch r.Name {
			case bus.ConsumerRole(d.Durable):
				roles[i].Publish = append(roles[i].Publish, bus.GrantConsume(d)...)
			case bus.RoleProvisioner:
				roles[i].Publish = append(roles[i].Publish, bus.GrantProvision(d)...)
			}
		}
	}
	return roles
}
