package bus

import (
	"strings"

	"github.com/openclaw-security/bus/proto"
)

// The roles that exist on every bus. Each source has one more: [ShipperRole].
const (
	RoleProvisioner = "provisioner"
	RoleProxy       = "proxy"
	RoleNotifier    = "notifier"
	RoleAuditor     = "auditor"
	RoleTail        = "tail"
	RoleReplay      = "replay"
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

	// WithStreams makes it a user of the account that holds the streams rather
	// than of one of its own. The server would publish what it answers to such a
	// role wherever the role asks it to: it may only have what nothing answers,
	// unless it decides what is stored in any case.
	WithStreams bool
}

// Roles returns the roles of a bus on host with these sources and, beside those
// of [proto.Consumers], these durables: the grants are made from the streams and
// durables of package proto.
func Roles(host string, sources []string, durables ...proto.Consumer) []Role {
	durables = append(proto.Consumers(), durables...)
	roles := []Role{provisioner(durables)}
	for _, source := range sources {
		roles = append(roles, shipper(host, source))
	}
	roles = append(roles, proxy(host))
	roles = append(roles, consumers(host, durables)...)
	roles = append(roles, tail(), operator(), replay())
	for i := range roles {
		roles[i].Subscribe = append(roles[i].Subscribe, InboxPrefix(roles[i].Name)+".>")
	}
	return roles
}

func provisioner(durables []proto.Consumer) Role {
	r := Role{
		Name:        RoleProvisioner,
		Description: "Creates and migrates the streams and durables of the bus",
		WithStreams: true,
	}
	for _, s := range proto.Streams() {
		r.Publish = append(r.Publish,
			"$JS.API.STREAM.INFO."+s.Name,
			"$JS.API.STREAM.CREATE."+s.Name,
			"$JS.API.STREAM.UPDATE."+s.Name,
		)
	}
	for _, c := range durables {
		r.Publish = append(r.Publish,
			"$JS.API.CONSUMER.INFO."+c.Stream+"."+c.Durable,
			"$JS.API.CONSUMER.CREATE."+c.Stream+"."+c.Durable,
		)
	}
	// A new sink begins where the others stand, those that are configured no
	// more included.
	r.Publish = append(r.Publish, "$JS.API.CONSUMER.LIST."+proto.StreamAlerts)
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
			directGet + proto.StreamAudit + "." + proto.SourceFilter(host, RoleProxy),
			directGet + proto.StreamSecurity + "." + proto.SourceFilter(host, RoleProxy),
			"$JS.API.STREAM.INFO." + proto.StreamAudit,
			"$JS.API.STREAM.INFO." + proto.StreamSecurity,
		},
	}
}

// consumers are the roles behind the durables, each with all of its own.
func consumers(host string, durables []proto.Consumer) []Role {
	var roles []Role
	at := make(map[string]int)
	for _, c := range durables {
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
	for i := range roles {
		switch roles[i].Name {
		case RoleNotifier:
			roles[i].Publish = append(roles[i].Publish, notifier()...)
			// What is critical is heard before its copy can be fetched.
			roles[i].Subscribe = append(roles[i].Subscribe, proto.AlertFilter(proto.SeverityCritical))
		case RoleAuditor:
			roles[i].Publish = append(roles[i].Publish, auditor(host)...)
		}
	}
	return roles
}

// notifier is what the notifier may beside fetching: keep its plans, record its
// deliveries, take the operator's requests and silences, and read the streams
// for the daily report.
func notifier() []string {
	grants := []string{
		proto.DeliveriesPrefix + ".>",
		proto.StateSubject("delivery.>"),
		proto.StateSubject("requests.>"),
		proto.StateSubject(proto.KeySilences),
		directGet + proto.StreamState + "." + proto.StateSubject(">"),
		directGet + proto.StreamDead, // to try one again
	}
	for _, s := range []string{proto.StreamSecurity, proto.StreamAlerts, proto.StreamAudit} {
		grants = append(grants, "$JS.API.STREAM.INFO."+s, directGet+s)
	}
	return grants
}

// auditor is what the auditor may beside fetching: read again what a crash has
// cut off, and publish its checkpoints and what it has noticed.
func auditor(host string) []string {
	return []string{
		ingest(proto.ClassEvent, host, RoleAuditor),
		ingest(proto.ClassAlert, host, RoleAuditor),
		directGet + proto.StreamAudit,
		"$JS.API.STREAM.INFO." + proto.StreamAudit,
	}
}

func tail() Role {
	r := Role{
		Name:        RoleTail,
		Description: "Reads what was and is being stored, and changes nothing",
		Subscribe:   []string{proto.StoredPrefix + ".>", proto.ReplayPrefix + ".>"},
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
		Description: "Reads streams and the state of durables, silences alerts and asks sinks for replays and tests; changes nothing that is stored",
		Publish: []string{
			"$JS.API.INFO",
			proto.StateSubject(proto.KeySilences),
			proto.StateSubject("requests.>"),
			directGet + proto.StreamState + "." + proto.StateSubject(">"),
		},
		Subscribe: []string{proto.StoredPrefix + ".>"},
	}
	for _, s := range proto.Streams() {
		r.Publish = append(r.Publish,
			"$JS.API.STREAM.INFO."+s.Name,
			"$JS.API.CONSUMER.LIST."+s.Name,
			"$JS.API.CONSUMER.NAMES."+s.Name,
			directGet+s.Name,
		)
	}
	return r
}

// replay sends to whoever listens. It has to be where the streams are: the server
// hands what one account sends another on to no third one.
func replay() Role {
	return Role{
		Name:        RoleReplay,
		Description: "Sends stored events once more, under " + proto.ReplayPrefix + ", to whoever listens",
		Publish:     []string{proto.ReplayPrefix + ".>"},
		WithStreams: true,
	}
}

// ingest is all that a source on host may publish of a class.
func ingest(class proto.Class, host, source string) string {
	return proto.IngestPrefix + "." + string(class) + "." + proto.Slug(host) + "." + proto.Slug(source) + ".>"
}
