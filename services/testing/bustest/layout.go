package bustest

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

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

// deliveries are the subjects under which the sink of a durable records what it has
// delivered: the durable is named after it, and may have the name of a lane behind that.
func deliveries(d proto.Consumer) []string {
	sink, isSink := strings.CutPrefix(d.Durable, bus.RoleNotifier+"-")
	if !isSink {
		return nil
	}
	subjects := []string{proto.DeliveriesSubject(sink)}
	if lane := strings.LastIndexByte(sink, '-'); lane > 0 {
		subjects = append(subjects, proto.DeliveriesSubject(sink[:lane]))
	}
	return subjects
}

// Roles are those of production, with the rights to these further durables.
func Roles(durables ...proto.Consumer) []bus.Role {
	roles := layout().Roles
	for i, r := range roles {
		for _, d := range durables {
			switch r.Name {
			case bus.ConsumerRole(d.Durable):
				roles[i].Publish = append(roles[i].Publish, bus.GrantConsume(d)...)
				for _, subject := range deliveries(d) {
					if !slices.Contains(roles[i].Publish, subject) {
						roles[i].Publish = append(roles[i].Publish, subject)
					}
				}
			case bus.RoleProvisioner:
				roles[i].Publish = append(roles[i].Publish, bus.GrantProvision(d)...)
			}
		}
	}
	return roles
}
