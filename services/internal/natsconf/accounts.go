// Package natsconf is what a NATS server must be told to be the bus: the keys of
// the roles, the accounts that keep the roles apart, and for a server that runs
// on its own its whole configuration file.
//
//	LoadOrCreate ─▶ one nkey seed per role, in files only the owner can read
//	                   │ public keys
//	roles ─────────────┴▶ Accounts ─▶ Server ─▶ nats.conf
package natsconf

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
)

// busAccount holds the streams. Few roles are users of it ([bus.Role]).
const busAccount = "BUS"

// apiInfo is imported by every role, whether it may use it or not. Without it
// the server has the account import all of $JS.API from the system account,
// which then answers "JetStream not enabled for account" before the account of
// the streams does (nats-server, enableJetStreamInfoServiceImportOnly).
const apiInfo = "$JS.API.INFO"

// Accounts returns the accounts block of a NATS server's configuration for the
// roles, with their public nkeys by role name. Every role needs one.
//
// Each role but those WithStreams has an account of its own, which imports from
// the account of the streams just what the role may use:
//
//	account shipper-suricata              account BUS (JetStream)
//	  user ── permissions ── imports ───────▶ ingest.alert.box1.suricata.>
//	   ▲                                       stream ─▶ reply
//	   └───────────────── reply ◀──────────────────────────┘
//
// Permissions alone are not enough. The server sends an answer to any reply
// subject the request names, with its own rights: a shipper could have had the
// answer to a request of its own, whose content it chooses, published as another
// source's alert. Across accounts an answer reaches only who asked.
//
// A role that answers requests of others exports them from its own account to the
// roles that may make them. It may publish replies and nothing else of that kind
// (allow_responses: one to each request, within two minutes).
func Accounts(roles []bus.Role, keys map[string]string) (string, error) {
	if len(roles) == 0 {
		// Without users, the server lets everybody do everything.
		return "", errors.New("no roles")
	}
	var exports exports
	for _, r := range roles {
		for _, subject := range r.Answers {
			exports = append(exports, export{account: strconv.Quote(r.Name), kind: "service", subject: subject})
		}
	}
	var withStreams strings.Builder
	imports := make(map[string]string) // by role
	for _, r := range roles {
		key := keys[r.Name]
		if key == "" {
			return "", fmt.Errorf("role %s has no public key", r.Name)
		}
		if r.WithStreams {
			withStreams.WriteString("      " + user(r, key))
			continue
		}
		// Requests and publishes are services, subscriptions streams, but for the
		// role's own inbox.
		services := slices.Clone(r.Publish)
		if !slices.Contains(services, apiInfo) {
			services = append(services, apiInfo)
		}
		for _, subject := range imported(services) {
			imports[r.Name] += exports.to(r.Name, "service", subject)
		}
		for _, subject := range r.Subscribe {
			imports[r.Name] += exports.to(r.Name, "stream", subject)
		}
	}
	limits := fmt.Sprintf("    limits { max_connections: %d }\n", MaxRoleConnections)
	var b strings.Builder
	fmt.Fprintf(&b, "accounts {\n  %s {\n    jetstream: enabled\n%s    users [\n%s    ]\n%s  }\n", busAccount, limits, withStreams.String(), exports.of(busAccount))
	for _, r := range roles {
		if r.WithStreams {
			continue
		}
		fmt.Fprintf(&b, "  %q {\n%s    users [\n      %s    ]\n%s    imports [\n%s    ]\n  }\n", r.Name, limits, user(r, keys[r.Name]), exports.of(strconv.Quote(r.Name)), imports[r.Name])
	}
	return b.String() + "}\n", nil
}

// imported are the subjects that a role imports to publish to these. It publishes under
// hundreds of kinds; what it imports is all under its source's name, and its permissions
// say which of them it may publish to.
func imported(subjects []string) []string {
	var all []string
	for _, subject := range subjects {
		if s, err := proto.ParseSubject(subject); err == nil {
			subject = strings.Join([]string{proto.IngestPrefix, string(s.Class), s.Host, s.Source, ">"}, ".")
		}
		if !slices.Contains(all, subject) {
			all = append(all, subject)
		}
	}
	return all
}

func user(r bus.Role, key string) string {
	var replies string
	if len(r.Answers) > 0 {
		replies = "        allow_responses: true\n"
	}
	return fmt.Sprintf("{ nkey: %s, permissions {\n        publish %s\n        subscribe %s\n%s      } }\n", key, only(r.Publish), only(r.Subscriptions()), replies)
}

// only permits these subjects and nothing else. An empty list of allowed
// subjects would mean all.
func only(subjects []string) string {
	if len(subjects) == 0 {
		return `{ deny: [">"] }`
	}
	return fmt.Sprintf("{ allow: [%s] }", quoted(subjects))
}

// export is a subject of an account and the roles that may import it: the server
// knows one export for each subject.
type export struct {
	account string
	kind    string // "service" or "stream"
	subject string
	roles   []string
}

// exports are those of all accounts.
type exports []export

// to lets a role import a subject and returns the line that does it. The subject is
// that of a role that answers it, or else of the account of the streams.
func (e *exports) to(role, kind, subject string) string {
	i := slices.IndexFunc(*e, func(e export) bool { return e.kind == kind && e.subject == subject })
	if i < 0 {
		i = len(*e)
		*e = append(*e, export{account: busAccount, kind: kind, subject: subject})
	}
	known := &(*e)[i]
	known.roles = append(known.roles, role)
	return fmt.Sprintf("      { %s { account: %s, subject: %q } }\n", kind, known.account, subject)
}

// of returns the exports of an account, empty if it has none. One that no role may
// import is left out: without accounts it would be everybody's.
func (e exports) of(account string) string {
	var lines string
	for _, export := range e {
		if export.account == account && len(export.roles) > 0 {
			lines += fmt.Sprintf("      { %s: %q, %saccounts: [%s] }\n", export.kind, export.subject, responses(export), quoted(export.roles))
		}
	}
	if lines == "" {
		return ""
	}
	return "    exports [\n" + lines + "    ]\n"
}

// responses says that more than one answer may come: to a pull request and to a
// direct get of several messages. The server closes others after the first.
func responses(e export) string {
	if e.kind == "service" && (strings.HasPrefix(e.subject, "$JS.API.CONSUMER.MSG.NEXT.") || strings.HasPrefix(e.subject, "$JS.API.DIRECT.GET.")) {
		return "response: stream, "
	}
	return ""
}

func quoted(words []string) string {
	q := make([]string, len(words))
	for i, w := range words {
		q[i] = fmt.Sprintf("%q", w)
	}
	return strings.Join(q, ", ")
}
