package bus

import (
	"strings"

	"github.com/openclaw-security/bus/proto"
)

// The roles that exist on every bus. Each source has one more: [ShipperRole].
const (
	RoleProvisioner = "provisioner"
	RoleProxy       = "proxy"
	RoleTail        = "tail"
	RoleOperator    = "operator"
)

// ShipperRole is the role of the shipper of a source.
func ShipperRole(source string) string { return "shipper-" + proto.Slug(source) }

// ConsumerRole is the role that may use a durable: the first word of its name,
// so that notifier-stdout and a second notifier-… are both the notifier's.
func ConsumerRole(durable string) string {
	role, _, _ := strings.Cut(durable, "-")
	return role
}

// Role is an identity on the bus and all it may do. Nothing else is allowed, and
// no role may publish under [proto.StoredPrefix]: what is there was stored by
// the server.
type Role struct {
	Name        string
	Description string
	Publish     []string // subjects, requests to JetStream included
	Subscribe   []string
}

// Roles returns the roles of a bus on host with these sources: the grants are
// made from the streams and durables of package proto.
func Roles(host string, sources []string) []Role {
	roles := []Role{provisioner()}
	for _, source := range sources {
		roles = append(roles, shipper(host, source))
	}
	roles = append(roles, proxy(host))
	roles = append(roles, consumers()...)
	roles = append(roles, tail(), operator())
	for i := range roles {
		roles[i].Subscribe = append(roles[i].Subscribe, InboxPrefix(roles[i].Name)+".>")
	}
	return roles
}

func provisioner() Role {
	r := Role{
		Name:        RoleProvisioner,
		Description: "Creates and migrates the streams and durables of the bus",
	}
	for _, s := range proto.Streams() {
		r.Publish = append(r.Publish,
			"$JS.API.STREAM.INFO."+s.Name,
			"$JS.API.STREAM.CREATE."+s.Name,
			"$JS.API.STREAM.UPDATE."+s.Name,
		)
	}
	for _, c := range proto.Consumers() {
		r.Publish = append(r.Publish,
			"$JS.API.CONSUMER.INFO."+c.Stream+"."+c.Durable,
			"$JS.API.CONSUMER.CREATE."+c.Stream+"."+c.Durable,
		)
	}
	return r
}

func shipper(host, source string) Role {
	return Role{
		Name:        ShipperRole(source),
		Description: "Publishes what the sensor " + source + " on " + host + " writes",
		Publish: []string{
			ingest(proto.ClassAlert, host, source),
			ingest(proto.ClassEvent, host, source),
			directGet + proto.StreamSecurity + "." + proto.SourceFilter(host, source),
			"$JS.API.STREAM.INFO." + proto.StreamSecurity,
		},
	}
}

func proxy(host string) Role {
	return Role{
		Name:        RoleProxy,
		Description: "Publishes the LLM proxy's audit records and alerts on " + host,
		Publish: []string{
			ingest(proto.ClassAudit, host, RoleProxy),
			ingest(proto.ClassAlert, host, RoleProxy),
			"$JS.API.STREAM.INFO." + proto.StreamAudit,
			"$JS.API.STREAM.INFO." + proto.StreamSecurity,
		},
	}
}

// consumers are the roles behind the durables, each with all of its own.
func consumers() []Role {
	var roles []Role
	at := make(map[string]int)
	for _, c := range proto.Consumers() {
		name := ConsumerRole(c.Durable)
		i, ok := at[name]
		if !ok {
			i = len(roles)
			at[name] = i
			roles = append(roles, Role{Name: name, Description: "Consumes its durables and gives up what it cannot deliver"})
		}
		roles[i].Publish = append(roles[i].Publish,
			"$JS.API.CONSUMER.INFO."+c.Stream+"."+c.Durable,
			"$JS.API.CONSUMER.MSG.NEXT."+c.Stream+"."+c.Durable,
			// Servers know two forms of the subject to acknowledge on; which one
			// they use is their configuration's choice.
			"$JS.ACK."+c.Stream+"."+c.Durable+".>",
			"$JS.ACK.*.*."+c.Stream+"."+c.Durable+".>",
			proto.DeadSubject(c.Stream, c.Durable),
		)
	}
	return roles
}

func tail() Role {
	r := Role{
		Name:        RoleTail,
		Description: "Reads what was and is being stored, and changes nothing",
		Subscribe:   []string{proto.StoredPrefix + ".>"},
	}
	for _, s := range proto.Streams() {
		if s.Stored || len(s.Sources) > 0 {
			r.Publish = append(r.Publish, directGet+s.Name)
		}
	}
	return r
}

func operator() Role {
	r := Role{
		Name:        RoleOperator,
		Description: "Asks for the state of streams and durables and reads them, and changes nothing",
		Publish:     []string{"$JS.API.INFO"},
		Subscribe:   []string{proto.StoredPrefix + ".>"},
	}
	for _, s := range proto.Streams() {
		r.Publish = append(r.Publish,
			"$JS.API.STREAM.INFO."+s.Name,
			"$JS.API.CONSUMER.LIST."+s.Name,
			"$JS.API.CONSUMER.NAMES."+s.Name,
			directGet+s.Name,
		)
	}
	for _, c := range proto.Consumers() {
		r.Publish = append(r.Publish, "$JS.API.CONSUMER.INFO."+c.Stream+"."+c.Durable)
	}
	return r
}

// ingest is all that a source on host may publish of a class.
func ingest(class proto.Class, host, source string) string {
	return proto.IngestPrefix + "." + string(class) + "." + proto.Slug(host) + "." + proto.Slug(source) + ".>"
}
