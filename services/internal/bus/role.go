package bus

import (
	"slices"
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

// Role is an identity on the bus and all it may do, besides receiving replies to
// its own requests. Nothing else is allowed, and no role may publish under
// [proto.StoredPrefix]: what is there was stored by the server.
type Role struct {
	Name        string
	Description string
	// Holder names the process that has the role's key, where that is another
	// name than the role's.
	Holder string

	Publish   []string // subjects, requests to JetStream included; the Grant functions return them
	Subscribe []string
	// Answers are the subjects of requests that the role replies to. A role that
	// may publish one of them reaches this role by it, and only who made a request
	// gets the reply.
	Answers []string `json:",omitempty"`

	// Serves is the name of the service as which it serves requests (package
	// request), "" for none. The operator may make them.
	Serves string

	// WithStreams makes it a user of the account that holds the streams rather
	// than of one of its own. The server would publish what it answers to such a
	// role wherever the role asks it to: it may only have what nothing answers,
	// unless it decides what is stored in any case.
	WithStreams bool
}

// Subscriptions returns what the role may subscribe to, its inbox included.
func (r Role) Subscriptions() []string {
	return append(slices.Concat(r.Subscribe, r.Answers), InboxPrefix(r.Name)+".>")
}

// GrantSource is all that a source needs besides [GrantIngest]: to find its last message
// in the streams that hold these classes, and to read back what it has stored in those
// that are its own.
func GrantSource(host, source string, classes ...proto.Class) []string {
	var subjects []string
	last := func(stream string) string { return directGet + stream + "." + proto.SourceFilter(host, source) }
	for _, class := range classes {
		stream := proto.StreamAudit
		switch class {
		case proto.ClassAlert:
			stream = proto.AlertsStream(source)
		case proto.ClassEvent:
			stream = proto.EventsStream(source)
		}
		subjects = append(append(subjects, last(stream)), GrantInfo(stream)...)
		if class != proto.ClassAudit {
			subjects = append(subjects, GrantRead(stream)...)
		}
	}
	// Where it stood when one stream held what all sources published.
	return append(append(subjects, last(proto.StreamSecurity)), GrantInfo(proto.StreamSecurity)...)
}

// GrantIngest is to publish a class under the name of a source on host, under these
// kinds and no others: the server holds every subject in memory, also after a restart,
// so the number of those that a role can make up must be bounded.
func GrantIngest(host, source string, class proto.Class, kinds ...string) []string {
	var subjects []string
	for _, kind := range kinds {
		for _, severity := range proto.SeveritiesOf(class) {
			s := proto.Subject{Class: class, Host: proto.Slug(host), Source: proto.Slug(source), Kind: proto.Slug(kind), Severity: severity}
			subjects = append(subjects, s.Ingest())
		}
	}
	return subjects
}

// GrantConsume is to fetch from durables, to acknowledge, and to copy to the
// dead letters what cannot be delivered.
func GrantConsume(durables ...proto.Consumer) []string {
	var subjects []string
	for _, c := range durables {
		subjects = append(subjects,
			"$JS.API.CONSUMER.INFO."+c.Stream+"."+c.Durable,
			"$JS.API.CONSUMER.MSG.NEXT."+c.Stream+"."+c.Durable,
			// Servers know two forms of the subject to acknowledge on; which one
			// they use is their configuration's choice.
			"$JS.ACK."+c.Stream+"."+c.Durable+".>",
			"$JS.ACK.*.*."+c.Stream+"."+c.Durable+".>",
			proto.DeadSubject(c.Stream, c.Durable),
		)
	}
	return subjects
}

// GrantProvision is to create and change durables.
func GrantProvision(durables ...proto.Consumer) []string {
	var subjects []string
	for _, c := range durables {
		subjects = append(subjects,
			"$JS.API.CONSUMER.INFO."+c.Stream+"."+c.Durable,
			"$JS.API.CONSUMER.CREATE."+c.Stream+"."+c.Durable,
		)
	}
	return subjects
}

// GrantCreate is to create and change streams.
func GrantCreate(streams ...string) []string {
	var subjects []string
	for _, stream := range streams {
		subjects = append(subjects,
			"$JS.API.STREAM.INFO."+stream,
			"$JS.API.STREAM.CREATE."+stream,
			"$JS.API.STREAM.UPDATE."+stream,
		)
	}
	return subjects
}

// GrantDurables is to list the durables of streams.
func GrantDurables(streams ...string) []string {
	var subjects []string
	for _, stream := range streams {
		subjects = append(subjects,
			"$JS.API.CONSUMER.LIST."+stream,
			"$JS.API.CONSUMER.NAMES."+stream,
		)
	}
	return subjects
}

// GrantInfo is to ask for the state of streams.
func GrantInfo(streams ...string) []string {
	var subjects []string
	for _, stream := range streams {
		subjects = append(subjects, "$JS.API.STREAM.INFO."+stream)
	}
	return subjects
}

// GrantStreamNames is to ask which streams there are, by which a reader of several
// finds them.
func GrantStreamNames() string { return streamNames }

// GrantRead is to read every message of streams.
func GrantRead(streams ...string) []string {
	var subjects []string
	for _, stream := range streams {
		subjects = append(subjects, directGet+stream)
	}
	return subjects
}

// GrantLast is to find the last message under a filter in each of streams, and nothing
// else of them ([Conn.LastUnder]).
func GrantLast(filter string, streams ...string) []string {
	var subjects []string
	for _, stream := range streams {
		subjects = append(subjects, directGet+stream+"."+filter)
	}
	return subjects
}

// GrantState is to change these keys, which may end in a wildcard.
func GrantState(keys ...string) []string {
	var subjects []string
	for _, key := range keys {
		subjects = append(subjects, proto.StateSubject(key))
	}
	return subjects
}

// GrantHeartbeat is to beat for a source (package progress).
func GrantHeartbeat(host, source string) []string {
	key := proto.KeyHeartbeat(host, source)
	return append(GrantState(key), GrantReadState(key)...)
}

// GrantReadState is to read these keys, which may end in a wildcard; one that is a
// wildcard alone means all of [proto.BucketState].
func GrantReadState(keys ...string) []string {
	var subjects []string
	for _, key := range keys {
		subjects = append(subjects, directGet+proto.StreamOfKey(key)+"."+proto.StateSubject(key))
	}
	return subjects
}

// Operators returns the roles that belong to no service: of the provisioner of
// these streams and durables, and of the people who look after the bus and make
// requests of these services' roles.
func Operators(streams []proto.Stream, durables []proto.Consumer, services []Role) []Role {
	var served []string
	for _, r := range services {
		if r.Serves != "" {
			served = append(served, proto.KeyRequest(r.Serves, ">"))
		}
	}
	return []Role{provisioner(streams, durables), tail(streams), operator(streams, served), replay()}
}

func provisioner(streams []proto.Stream, durables []proto.Consumer) Role {
	r := Role{
		Name:        RoleProvisioner,
		Description: "Creates and migrates the streams and durables of the bus",
		WithStreams: true,
	}
	for _, s := range streams {
		r.Publish = append(r.Publish, GrantCreate(s.Name)...)
		if len(proto.AlertStreams([]string{s.Name})) > 0 {
			// A new sink begins where the others stand, including those that are no
			// longer configured, and a chat in the place of another where that one does.
			r.Publish = append(r.Publish, "$JS.API.CONSUMER.LIST."+s.Name)
		}
	}
	for _, s := range proto.RetiredStreams() { // once they are empty
		r.Publish = append(r.Publish, "$JS.API.STREAM.DELETE."+s.Name)
	}
	r.Publish = append(r.Publish, GrantProvision(durables...)...)
	r.Publish = append(r.Publish, GrantReadState("delivery.*.lease")...)
	// The requests of earlier versions, which it removes.
	r.Publish = append(r.Publish, formerRequests, directGet+proto.StreamState+"."+formerRequests)
	return r
}

func tail(streams []proto.Stream) Role {
	r := Role{
		Name:        RoleTail,
		Description: "Reads what was and is being stored, and changes nothing",
		Holder:      RoleOperator,
		Publish:     []string{GrantStreamNames()},
		Subscribe:   []string{proto.StoredPrefix + ".>", proto.ReplayPrefix + ".>"},
	}
	for _, s := range streams {
		if s.Stored || len(s.Sources) > 0 {
			r.Publish = append(r.Publish, GrantRead(s.Name)...)
		}
	}
	return r
}

func operator(streams []proto.Stream, served []string) Role {
	r := Role{
		Name:        RoleOperator,
		Description: "Reads streams, the state of durables and the audit log, silences alerts and makes requests of services; changes nothing that is stored",
		Publish:     []string{"$JS.API.INFO", GrantStreamNames(), proto.QueryPrefix + ".audit.>"},
		Subscribe:   []string{proto.StoredPrefix + ".>"},
	}
	r.Publish = append(r.Publish, GrantState(append(served, proto.KeySilences)...)...)
	r.Publish = append(r.Publish, GrantReadState(append(served, ">")...)...)
	for _, key := range served {
		r.Subscribe = append(r.Subscribe, proto.StateChangeSubject(key))
	}
	for _, s := range streams {
		r.Publish = append(r.Publish, GrantInfo(s.Name)...)
		r.Publish = append(r.Publish, GrantDurables(s.Name)...)
		r.Publish = append(r.Publish, GrantRead(s.Name)...)
	}
	return r
}

// replay sends to every subscriber. It has to be where the streams are: the
// server passes what one account sends another on to no third one.
func replay() Role {
	return Role{
		Name:        RoleReplay,
		Description: "Sends stored events once more, under " + proto.ReplayPrefix + ", to every subscriber",
		Holder:      RoleOperator,
		Publish:     []string{proto.ReplayPrefix + ".>"},
		WithStreams: true,
	}
}
